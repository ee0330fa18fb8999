"""What runs on a device, and the formats that it speaks."""

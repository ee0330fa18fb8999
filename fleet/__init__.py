"""What talks to many devices: the broker, the monitor, its store."""

"""The Linux node: the same loop as the firmware's, in Python, without torch."""

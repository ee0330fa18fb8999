"""A planner's code on a device: the C that brings plans into their network's constraints."""

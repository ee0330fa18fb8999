"""Formats that both ends speak: Sparkplug B, SMP, image, module, bundle."""

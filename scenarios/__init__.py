"""The circular supply chain world, NumPy only."""

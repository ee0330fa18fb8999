"""jouleloop: decision models on devices that live on joules."""

__version__ = "0.1.0"

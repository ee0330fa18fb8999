"""Writers: each turns a lowered `QGraph` into one kind of file, with the same scales."""

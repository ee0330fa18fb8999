"""The compiler: a checkpoint or a TFLite file in, INT8 ONNX, TFLite and a native module out."""

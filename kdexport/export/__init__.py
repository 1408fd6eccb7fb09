"""Export: trained networks into self-contained ONNX files."""

"""What computes a network: torch, ONNX Runtime, OpenVINO, and the choice between them."""

"""Export a trained network to ONNX, OpenVINO IR, TorchScript or torch.export; refuse impossible combinations."""

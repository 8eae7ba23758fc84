"""From a trained network to a file: ONNX, OpenVINO IR, TorchScript, torch.export, and what is refused."""

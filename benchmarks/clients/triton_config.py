"""Triton's own protobuf reads a config.pbtxt.

Usage: triton_config.py config.pbtxt     prints it as JSON
"""

import sys
from pathlib import Path

from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

config = text_format.Parse(Path(sys.argv[1]).read_text(encoding="utf-8"), ModelConfig())
print(json_format.MessageToJson(config, preserving_proto_field_name=True))

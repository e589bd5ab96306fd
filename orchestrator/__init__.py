"""The build host's side: converts models, ships them to runners and records what they measure."""

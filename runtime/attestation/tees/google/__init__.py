"""What Google signs about its own firmware: `protobuf` reads, `launch_endorsement` decides."""

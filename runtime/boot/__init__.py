"""What the image's units run before the tunnel: settings, their measurement, a client's bundle. I/O."""

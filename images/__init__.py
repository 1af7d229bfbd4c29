"""How the image of a tunnel VM is baked and measured, and the manifests of what was baked."""

"""Azure: confidential VMs behind Microsoft's paravisor."""

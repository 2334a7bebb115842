"""nova's driver over a hypervisor of the model, by purpose; `nova_fakes.virt.fake` puts it together."""

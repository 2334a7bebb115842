"""The hypervisors: the model, and nova's driver and the VIF realizers over it."""

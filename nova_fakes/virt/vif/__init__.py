"""VIF realizers: how a port becomes an interface that answers ping, and the ledger of what was made for it."""

"""``python -m nova_fakes`` is the ``nova-fakes`` command."""

from nova_fakes.cmd.main import main

if __name__ == "__main__":
    raise SystemExit(main())

"""Run a Python module as root of a user and mount namespace: ``in_user_namespace.py pytest ARGUMENTS``."""

import os
import sys

from nova_fakes.virt.vif.namespaces import enter_user_namespace

if __name__ == "__main__":
    enter_user_namespace()
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])

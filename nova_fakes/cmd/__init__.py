"""The `nova-fakes` command. Its modules import click and nothing heavier; nova, Flask, rich and openstacksdk wait."""

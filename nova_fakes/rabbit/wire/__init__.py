"""AMQP 0-9-1 on a socket: frames, methods, the state of a connection, and the server."""

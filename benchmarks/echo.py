"""A process that sends back what it gets over loopback TCP; its port is its only line."""

import socket


def main() -> None:
    """Serve one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        connection, _ = server.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while received := connection.recv(4096):
                connection.sendall(received)


if __name__ == "__main__":
    main()

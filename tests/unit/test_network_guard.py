"""No test leaves this machine."""

import socket
import urllib.request

import pytest


def test_looking_up_another_machine_is_refused():
    with pytest.raises(RuntimeError, match=r"example\.com"):
        socket.getaddrinfo("example.com", 443)


def test_connecting_to_another_machine_is_refused():
    with socket.socket() as client, pytest.raises(RuntimeError, match=r"192\.0\.2\.1"):
        client.connect(("192.0.2.1", 80))


def test_sending_a_datagram_to_another_machine_is_refused():
    with socket.socket(type=socket.SOCK_DGRAM) as client, pytest.raises(RuntimeError, match=r"192\.0\.2\.1"):
        client.sendto(b"x", ("192.0.2.1", 53))


def test_libraries_are_refused_as_well():
    with pytest.raises(RuntimeError, match=r"example\.com"):
        urllib.request.urlopen("http://example.com")


def test_this_machine_is_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()

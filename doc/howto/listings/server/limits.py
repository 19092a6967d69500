"""
A server for a monitor that asks two hundred hosts at once, from one address,
and for old clients that have nothing but a group exchange.
"""

from conchlite.ssh import factory, transport


class ServerTransport(transport.SSHServerTransport):
    supportedKeyExchanges = [
        *transport.SSHServerTransport.supportedKeyExchanges,
        b"diffie-hellman-group-exchange-sha256",
    ]
    handshakeTimeout = 10
    loginTimeout = 60
    keepAliveInterval = 15
    rekeySeconds = 600


class Server(factory.SSHFactory):
    protocol = ServerTransport
    moduli = "/etc/ssh/moduli"
    maxStartups = (250, 30, 500)
    maxHandshakesPerAddress = 16

"""
C{twistd conchlite} and C{twist conchlite}.

Every twistd of the machine imports this: it names modules, and imports none of them.
"""

from twisted.application.service import ServiceMaker

conchlite = ServiceMaker("conchlite", "conchlite.tap", "SSH: commands, and a demonstration", "conchlite")

"""
The authentication protocol's messages: RFC 4252.
"""

from __future__ import annotations

from conchlite.wire import numbers
from conchlite.wire.codec import Message, Structure
from conchlite.wire.types import Boolean, Byte, NameList, Rest, Secret, SecretRest, String


class UserauthRequest(Message):
    """
    RFC 4252 section 5. What lies behind the method's name belongs to the method.
    """

    number = numbers.MSG_USERAUTH_REQUEST
    userName: String
    serviceName: String
    methodName: String
    methodData: SecretRest


class UserauthFailure(Message):
    number = numbers.MSG_USERAUTH_FAILURE
    authenticationsThatCanContinue: NameList
    partialSuccess: Boolean


class UserauthSuccess(Message):
    number = numbers.MSG_USERAUTH_SUCCESS


class UserauthBanner(Message):
    number = numbers.MSG_USERAUTH_BANNER
    message: String
    languageTag: String


class UserauthPKOK(Message):
    """
    RFC 4252 section 7, while C{publickey} runs.
    """

    number = numbers.MSG_USERAUTH_PK_OK
    algorithm: String
    publicKey: String


class UserauthPasswdChangereq(Message):
    """
    RFC 4252 section 8, while C{password} runs.
    """

    number = numbers.MSG_USERAUTH_PASSWD_CHANGEREQ
    prompt: String
    languageTag: String


class PublicKeyData(Structure):
    """
    The method data of C{publickey}; the signature is a string, and there only
    when C{hasSignature} says so.
    """

    hasSignature: Boolean
    algorithm: String
    publicKey: String
    signature: Rest


class SignedData(Structure):
    """
    What a user's signature covers, RFC 4252 section 7.
    """

    sessionID: String
    messageNumber: Byte
    userName: String
    serviceName: String
    methodName: String
    hasSignature: Boolean
    algorithm: String
    publicKey: String


class PasswordData(Structure):
    """
    The method data of C{password}; the new password is a string, and there
    only when C{change} says so.
    """

    change: Boolean
    password: Secret
    newPassword: SecretRest

from base64 import b64decode

from rota.core.webhook_signature import HEADERS, shown_secret, signature_headers

# The worked example of the specification's reference libraries.
SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_signature_is_that_of_the_specifications_libraries() -> None:
    headers = signature_headers([b64decode(SECRET)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY)
    assert headers["webhook-signature"] == SIGNED
    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers.keys() == HEADERS


def test_each_live_secret_signs() -> None:
    old, new = b64decode(SECRET), b"n" * 32
    both = signature_headers([new, old], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY)["webhook-signature"]
    assert both.split(" ")[1] == SIGNED
    assert len(set(both.split(" "))) == 2


def test_a_secret_is_shown_as_receivers_libraries_take_it() -> None:
    assert shown_secret(b64decode(SECRET)) == f"whsec_{SECRET}"

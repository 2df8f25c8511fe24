"""Base64 text: writes `texts.json.gz`.

    python make_texts.py      (tensorflow 2.21.0)
"""

from recorder import Recorder, tf

run = Recorder()
for data in (b"", b"a", b"ab", b"abc", b"\xff\xfe\xfd\xfc", bytes(range(256))):
    for pad in (False, True):
        run("EncodeBase64", tf.constant([data, data]), pad=pad)
    run("DecodeBase64", tf.io.encode_base64(data, pad=True))
    run("DecodeBase64", tf.io.encode_base64(data, pad=False))
for text in (b"a", b"ab=", b"ab==", b"abc=", b"abcd=", b"a+/b", b"a-_b", b"=", b"====", b"ab c", b"abcde"):
    run("DecodeBase64", tf.constant(text))
run.write("texts")

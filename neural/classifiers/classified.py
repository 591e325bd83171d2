"""Any codec that delivers images, with a teacher behind the received image: a codec again, whose `decode` gives logits.

What a link of images is worth to a machine that looks at them; the opponent of every link that is made for the task.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from semlink.neural.classifiers.teachers import Teacher
from semlink.neural.diffusion import Receiver
from semlink.phy.link import Codec, Decoded, InformedCodec, Received


class Classified(Receiver):
    """A `Codec` whose decoded images a teacher classifies.

    Args:
        codec: any codec of images, neural or digital, with or without receivers.
        teacher: looks at what was received.

    Raises:
        ValueError: a codec that itself gives logits.

    Transmitter and ledger are the codec's. An image that failed to decode is classified as it is shown, a guess from
    mid-grey, and stays failed.
    """

    def __init__(self, codec: Codec | InformedCodec, teacher: Teacher) -> None:
        cost = f"{teacher.multiply_adds / 1e6:.1f} M multiply-adds an image"
        super().__init__(codec, note=f"{teacher.name} classifies what is received ({cost})")
        if isinstance(getattr(codec, "classes", None), int):
            raise ValueError(f"classify:{teacher.name} takes images; the codec before it gives logits")
        self.teacher = teacher

    @property
    def classes(self) -> int:
        """That the teacher tells apart."""
        return self.teacher.classes

    def check_image(self, image: Float[Tensor, "b c h w"]) -> None:
        """Raise ValueError for images of a shape that the teacher was not made for."""
        self.teacher.check_image(image)

    def decode(self, received: Received) -> Decoded:
        """Logits of what the codec shows; block errors and failures are the codec's.

        Raises:
            ValueError: the codec gives no images.
        """
        got = self.codec.decode(received)
        decoded = Decoded(got) if isinstance(got, Tensor) else Decoded(*got)
        if decoded.image.ndim != 4:
            shape = tuple(decoded.image.shape)
            raise ValueError(f"decoded values of shape {shape}: a teacher takes images (b, c, h, w), not logits")
        return decoded._replace(image=self.teacher(decoded.image.clamp(0, 1)).logits)

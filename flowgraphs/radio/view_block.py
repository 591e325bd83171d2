"""Shows images in the window of a flowgraph. Needs GNU Radio and PyQt5."""

from __future__ import annotations

from typing import Any

import pmt
from gnuradio import gr
from PyQt5 import QtCore, QtGui, QtWidgets

from semlink.flowgraphs.radio.pmt_pdus import guarded, image_of

_IMAGES = pmt.intern("images")


class image_view(gr.basic_block):  # noqa: N801 - blocks of GNU Radio have small letters
    """The last image, with its text below; `qwidget` is what goes into a window.

    Message port: `images` in, such as `shown` of an `image_sink`.

    Args:
        label: above the image.
        side: of the image in the window at least, in pixels.
    """

    def __init__(self, *, label: str = "", side: int = 256) -> None:
        gr.basic_block.__init__(self, name="image_view", in_sig=None, out_sig=None)
        self._panel = _Panel(label, side)
        self.message_port_register_in(_IMAGES)
        self.set_msg_handler(_IMAGES, self._take)

    def qwidget(self) -> Any:  # noqa: ANN401 - PyQt5 has no types
        """The widget."""
        return self._panel

    @guarded
    def _take(self, message: Any) -> None:  # noqa: ANN401
        meta, image = image_of(message)
        height, width, _ = image.shape
        picture = QtGui.QImage(image.tobytes(), width, height, 3 * width, QtGui.QImage.Format_RGB888).copy()
        self._panel.arrived.emit(picture, str(meta.get("text", "")))  # from this thread to that of the window


class _Panel(QtWidgets.QWidget):
    arrived = QtCore.pyqtSignal(QtGui.QImage, str)

    def __init__(self, label: str, side: int) -> None:
        super().__init__()
        self._picture, self._text = QtWidgets.QLabel(), QtWidgets.QLabel()
        self._text.setWordWrap(True)
        self._picture.setMinimumSize(side, side)
        column = QtWidgets.QVBoxLayout(self)
        for one in (QtWidgets.QLabel(label), self._picture, self._text):
            column.addWidget(one)
        column.addStretch()
        self.arrived.connect(self._show)

    def _show(self, picture: Any, text: str) -> None:  # noqa: ANN401
        size = self._picture.size()
        scaled = picture.scaled(size, QtCore.Qt.KeepAspectRatio, QtCore.Qt.SmoothTransformation)
        self._picture.setPixmap(QtGui.QPixmap.fromImage(scaled))
        self._text.setText(text)

"""A form made from a settings record, by magicgui."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Generic, TypeVar

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, SpinBox
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_smse.widgets.controls.layout import folded
from napari_smse.workflows.settings.option import Setting, settings_of

T = TypeVar("T")
_SHRINKS = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
_LETTERS = 14


class SettingsForm(QWidget, Generic[T]):
    """The settings of a workflow: what is often changed, and below it the rest, folded away.

    Parameters
    ----------
    record
        Dataclass; its fields with an `Option` are the settings.
    without
        Names of settings that the dock asks for in another way.
    """

    changed = Signal()
    """Another value was chosen or typed."""

    def __init__(
        self, record: type[T], without: Collection[str] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._record = record
        self._settings = {
            name: one for name, one in settings_of(record).items() if name not in without
        }
        self.fields = {name: _widget(one) for name, one in self._settings.items()}
        self.usual, self.advanced = QFormLayout(), QFormLayout()
        for name, setting in self._settings.items():
            rows = self.advanced if setting.option.advanced else self.usual
            rows.addRow(*self._row(name, setting))
        self._lay_out()
        for widget in self.fields.values():
            widget.changed.connect(lambda _value: self.changed.emit())

    @property
    def settings(self) -> T:
        """What is chosen; settings that are not in the form have their defaults."""
        return self._record(**{name: self.value(name) for name in self.fields})

    def value(self, name: str) -> Any:
        """Return what is chosen for one setting; None if that is what is usual."""
        value = self.fields[name].value
        setting = self._settings[name]
        return None if setting.optional and value == _unset(setting) else value

    def choose(self, **values: Any) -> None:
        """Set settings by their names; None for what is usual."""
        for name, value in values.items():
            setting = self._settings[name]
            self.fields[name].value = _unset(setting) if value is None else value

    def _row(self, name: str, setting: Setting) -> tuple[QWidget, ...]:
        widget = self.fields[name].native
        if setting.kind is bool:
            return (widget,)
        label = QLabel(setting.option.label)
        label.setToolTip(setting.option.help)
        label.setBuddy(widget)
        return label, widget

    def _lay_out(self) -> None:
        for rows in (self.usual, self.advanced):
            rows.setContentsMargins(0, 0, 0, 0)
            rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        inner = QWidget()
        inner.setLayout(self.advanced)
        self.more = folded("More settings", inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addLayout(self.usual)
        outer.addWidget(self.more)


def _widget(setting: Setting) -> ValueWidget[Any]:
    option = setting.option
    common = {"name": setting.name, "label": option.label, "tooltip": option.help}
    if setting.values:
        choices = [(option.choices.get(value, value), value) for value in setting.values]
        combo = ComboBox(choices=choices, value=setting.default, **common)
        # So that the longest of them does not decide how wide the dock is.
        combo.native.setSizeAdjustPolicy(_SHRINKS)
        combo.native.setMinimumContentsLength(_LETTERS)
        return combo
    if setting.kind is bool:
        return CheckBox(text=option.label, value=setting.default, **(common | {"label": ""}))
    return _number(setting, common)


def _number(setting: Setting, common: dict[str, str]) -> ValueWidget[Any]:
    option = setting.option
    lowest = _unset(setting) if setting.optional else option.minimum
    kind = setting.kind
    widget = (SpinBox if kind is int else FloatSpinBox)(
        min=kind(lowest),
        max=kind(option.maximum),
        step=kind(option.step),
        value=kind(lowest if setting.default is None else setting.default),
        **common,
    )
    if setting.optional:
        widget.native.setSpecialValueText(option.unset)
    if option.unit:
        widget.native.setSuffix(f" {option.unit}")
    # What is half typed is no value yet.
    widget.native.setKeyboardTracking(False)
    return widget


def _unset(setting: Setting) -> float:
    """Return the number that stands for None: one step below all that can be chosen."""
    return setting.kind(round(setting.option.minimum - setting.option.step, 9))

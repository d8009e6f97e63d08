"""A form made from a settings record, by magicgui."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Generic, TypeVar

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, SpinBox
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_smse.widgets.controls.layout import folded
from napari_smse.workflows.settings.option import Option, Setting, settings_of

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
            name: setting for name, setting in settings_of(record).items() if name not in without
        }
        self.fields = {name: SettingField(setting) for name, setting in self._settings.items()}
        self.usual, self.advanced = QFormLayout(), QFormLayout()
        for name, setting in self._settings.items():
            rows = self.advanced if setting.option.advanced else self.usual
            rows.addRow(*self._row(name, setting))
        self._lay_out()
        for field in self.fields.values():
            field.widget.changed.connect(lambda _value: self.changed.emit())

    @property
    def settings(self) -> T:
        """What is chosen; settings that are not in the form have their defaults."""
        return self._record(**{name: self.value(name) for name in self.fields})

    def value(self, name: str) -> Any:
        """Return what is chosen for one setting; None if that is what is usual."""
        return self.fields[name].value

    def choose(self, **values: Any) -> None:
        """Set settings by their names; None for what is usual."""
        for name, value in values.items():
            self.fields[name].value = value

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
        self.more.setVisible(self.advanced.rowCount() > 0)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addLayout(self.usual)
        outer.addWidget(self.more)


class SettingField:
    """The control of one setting.

    Parameters
    ----------
    setting
        What is set.

    Attributes
    ----------
    widget
        The control, of magicgui.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.widget = _widget(setting)

    @property
    def native(self) -> QWidget:
        """The control, of Qt."""
        return self.widget.native

    @property
    def value(self) -> Any:
        """What is chosen, in the setting's own unit; None if that is what is usual."""
        shown = self.widget.value
        if self._setting.optional and shown == _unset(self._setting):
            return None
        if self._setting.kind not in (int, float):
            return shown
        return self._setting.kind(round(shown * self._setting.option.per_unit, 9))

    @value.setter
    def value(self, value: Any) -> None:
        if value is None:
            value = _unset(self._setting)
        elif self._setting.kind in (int, float):
            value = _shown(value, self._setting.option)
        self.widget.value = value


def setting_field(record: type, name: str) -> SettingField:
    """Return the control of one setting, for a dock that has a place of its own for it.

    Parameters
    ----------
    record
        The workflow's settings record.
    name
        Of the field.
    """
    return SettingField(settings_of(record)[name])


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
    whole = setting.kind is int or option.per_unit != 1
    lowest = _unset(setting) if setting.optional else _shown(option.minimum, option)
    # Qt's box for whole numbers, as magicgui has it, shows no unit.
    kind = int if whole and not option.unit else float
    widget = (SpinBox if kind is int else FloatSpinBox)(
        min=kind(lowest),
        max=kind(_shown(option.maximum, option)),
        step=kind(_shown(option.step, option)),
        value=kind(lowest if setting.default is None else _shown(setting.default, option)),
        **common,
    )
    if setting.optional:
        widget.native.setSpecialValueText(option.unset)
    if option.unit:
        widget.native.setSuffix(f" {option.unit}")
        if whole:
            widget.native.setDecimals(0)
    # What is half typed is no value yet.
    widget.native.setKeyboardTracking(False)
    return widget


def _shown(value: float, option: Option) -> float:
    """Return a value in the unit that a form shows it in: a whole number, if that is another."""
    return value if option.per_unit == 1 else round(value / option.per_unit)


def _unset(setting: Setting) -> float:
    """Return the number that stands for None: one step below all that can be chosen."""
    option = setting.option
    return round(_shown(option.minimum, option) - _shown(option.step, option), 9)

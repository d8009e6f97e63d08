"""A form is made from a settings record, and gives one back."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_smse.widgets.controls.settings_form import SettingsForm, setting_field
from napari_smse.workflows.settings.embeddings import (
    EmbeddingMapSettings,
    EvidenceSettings,
    SuggestSettings,
)
from napari_smse.workflows.settings.fine_tune import FineTuneSettings
from napari_smse.workflows.settings.option import Setting, settings_of
from napari_smse.workflows.settings.score import ScoreSettings

# What a dock asks for by controls of its own is not in the form.
RECORDS = {
    EmbeddingMapSettings: (),
    EvidenceSettings: (),
    FineTuneSettings: (),
    ScoreSettings: ("mpp", "device", "tissue_mask", "leave_out"),
    SuggestSettings: (),
}
every_record = pytest.mark.parametrize("record", RECORDS)


def form_of(record, qtbot):
    form = SettingsForm(record, without=RECORDS[record])
    qtbot.addWidget(form)
    return form


def offered(record):
    settings = settings_of(record)
    return {name: setting for name, setting in settings.items() if name not in RECORDS[record]}


def values(setting: Setting) -> st.SearchStrategy[object]:
    option = setting.option
    if setting.values:
        return st.sampled_from(setting.values)
    if setting.kind is bool:
        return st.booleans()
    last = round((option.maximum - option.minimum) / option.step)
    numbers = st.integers(0, last).map(
        lambda steps: setting.kind(round(option.minimum + steps * option.step, 6))
    )
    return st.none() | numbers if setting.optional else numbers


@every_record
def test_what_is_usual_is_offered_first(qtbot, record):
    form = form_of(record, qtbot)
    assert form.settings == record()


@every_record
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_is_chosen_comes_back(qtbot, record, data):
    form = form_of(record, qtbot)
    wanted = {name: data.draw(values(one), name) for name, one in offered(record).items()}
    form.choose(**wanted)
    assert form.settings == record(**wanted)


@every_record
def test_every_control_has_its_name_and_its_tooltip(qtbot, record):
    form = form_of(record, qtbot)
    for name, setting in offered(record).items():
        control = form.fields[name].native
        assert setting.option.help in control.toolTip()
        rows = form.advanced if setting.option.advanced else form.usual
        label = rows.labelForField(control)
        text = control.text() if label is None else label.text()
        assert text == setting.option.label


def test_a_form_shows_a_number_in_the_unit_that_people_use(qtbot):
    form = form_of(ScoreSettings, qtbot)
    form.choose(min_tissue=0.07, time_limit=600)
    assert form.fields["min_tissue"].native.text() == "7 %"
    assert form.fields["time_limit"].native.text() == "10 min"
    assert (form.settings.min_tissue, form.settings.time_limit) == (0.07, 600.0)


def test_a_dock_may_place_a_control_itself(qtbot):
    field = setting_field(SuggestSettings, "n")
    qtbot.addWidget(field.native)
    assert field.value == SuggestSettings().n
    field.value = 7
    assert field.native.text() == "7 tiles"


def test_a_number_without_a_value_says_what_that_means(qtbot):
    form = SettingsForm(FineTuneSettings)
    qtbot.addWidget(form)
    assert form.fields["time_limit"].native.text() == "none"
    form.choose(time_limit=90)
    assert form.fields["time_limit"].native.text().endswith(" s")
    assert form.settings.time_limit == 90.0


def test_what_a_dock_asks_for_otherwise_is_not_in_the_form(qtbot):
    form = SettingsForm(FineTuneSettings, without=["loss"])
    qtbot.addWidget(form)
    assert "loss" not in form.fields
    assert form.settings.loss == "pair"


def test_a_change_is_heard_of_once(qtbot):
    form = SettingsForm(FineTuneSettings)
    qtbot.addWidget(form)
    with qtbot.waitSignal(form.changed):
        form.choose(loss="triplet")

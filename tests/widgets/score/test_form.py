import pytest
from napari.components import ViewerModel

from napari_smse.scoring import ComputeDevice
from napari_smse.widgets.score.form import ScoreForm
from napari_smse.widgets.session import session_of

pytestmark = pytest.mark.gui


@pytest.fixture
def form(qtbot):
    made = ScoreForm(session_of(ViewerModel()))
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_what_is_seldom_changed_is_folded_away(form, until):
    overlap = form.options.fields["overlap"].native
    assert overlap.visibleRegion().isEmpty()
    form.options.more.expand(animate=False)
    until(lambda: not overlap.visibleRegion().isEmpty())


def test_a_long_device_name_can_be_read_in_full_and_widens_nothing(form):
    before = form.minimumSizeHint().width()
    name = "CPU, a processor whose makers were fond of long names (128 cores)"
    form.show_devices([ComputeDevice("cpu", name, "float32", 16)])
    assert name in form.device.toolTip()
    assert form.minimumSizeHint().width() == before

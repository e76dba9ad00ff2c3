from tests.methods.test_families import _save,_made,_trains,FAMILIES,Any,Path,pytest
from tests.methods.cycle import *
@pytest.mark.parametrize("more",[{"gradient_checkpointing":True},{"loraplus_lr_ratio":4.0},{"quantization_bit":4},{"use_rslora":True,"neftune_noise_alpha":5}])
def test_mix(tmp_path,monkeypatch,more):
    _save(tmp_path,_made("Mixtral"))
    _trains(tmp_path,monkeypatch,FAMILIES["Mixtral"][2],**more)
@pytest.mark.parametrize("kind",["adalora","vera","ia3","loha","lokr","oft"])
def test_kin(tmp_path,monkeypatch,kind):
    _save(tmp_path,_made("Mixtral"))
    made=learns_and_reloads(tmp_path,monkeypatch,finetuning_type=kind,oft_block_size=16,learning_rate=2e-2)
    print(kind,{k.partition(".1.")[2] for k in _tensors(made.final)})

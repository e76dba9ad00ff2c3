import json, pytest, torch, shutil
from tests.methods.cycle import learns_and_reloads, resumes_exactly
from tests.tiny import tiny_model, tiny_tokenizer

def make(root):
    aqlm = pytest.importorskip("aqlm")
    model = tiny_model(num_hidden_layers=4)
    torch.manual_seed(0)
    for name, m in list(model.named_modules()):
        if type(m) is torch.nn.Linear and name != "lm_head":
            q = aqlm.QuantizedLinear(m.in_features, m.out_features, 8, 1, 1, 16, bias=False, dtype=torch.float32)
            q.codebooks.data.normal_(0, 0.02*3)
            q.codes.data = torch.randint(-32768, 32767, q.codes.shape, dtype=q.codes.dtype)
            q.scales.data.fill_(1.0)
            model.set_submodule(name, q)
    model.save_pretrained(root/"tiny")
    tiny_tokenizer().save_pretrained(root/"tiny")
    p=root/"tiny"/"config.json"
    c=json.loads(p.read_text()); c["quantization_config"]={"quant_method":"aqlm","in_group_size":8,"out_group_size":1,"num_codebooks":1,"nbits_per_codebook":16,"linear_weights_not_to_quantize":["lm_head"]}
    p.write_text(json.dumps(c))

def test_a(root, monkeypatch):
    make(root)
    learns_and_reloads(root, monkeypatch, lora_dropout=0.1, within=0)
def test_b(root, monkeypatch):
    make(root)
    resumes_exactly(root, lora_dropout=0.1)

def make_gptq(root, method="gptq"):
    model = tiny_model(num_hidden_layers=4)
    model.save_pretrained(root/"tiny"); 
    tiny_tokenizer().save_pretrained(root/"tiny")
    g=32
    sd={}
    from safetensors.torch import save_file, load_file
    torch.manual_seed(0)
    def pack(ints, dim):  # 4 bit along dim into int32
        ints = ints.movedim(dim, 0).to(torch.int64)
        out = torch.zeros(ints.shape[0]//8, *ints.shape[1:], dtype=torch.int64)
        for k in range(8): out |= ints[k::8] << (4*k)
        out = torch.where(out >= 2**31, out - 2**32, out).to(torch.int32)
        return out.movedim(0, dim).contiguous()
    for name, t in load_file(root/"tiny"/"model.safetensors").items():
        if t.dim()==2 and "embed" not in name:
            w=t.T  # in,out
            wg=w.reshape(-1,g,w.shape[1])
            scale=(wg.abs().amax(1)/7).clamp(min=1e-8)
            q=(wg/scale[:,None]).round().clamp(-8,7)+8
            base=name.removesuffix(".weight")
            sd[base+".qweight"]=pack(q.reshape(w.shape),0)
            zeros=torch.full(scale.shape, 7)
            sd[base+".qzeros"]=pack(zeros,1)
            sd[base+".scales"]=scale.to(torch.float16)
            sd[base+".g_idx"]=(torch.arange(w.shape[0])//g).to(torch.int32)
        else: sd[name]=t
    save_file(sd, root/"tiny"/"model.safetensors", {"format":"pt"})
    p=root/"tiny"/"config.json"
    c=json.loads(p.read_text()); c["quantization_config"]={"quant_method":"gptq","bits":4,"group_size":g,"desc_act":False,"sym":True,"checkpoint_format":"gptq"}
    p.write_text(json.dumps(c))
def test_gptq(root, monkeypatch):
    pytest.importorskip("gptqmodel")
    make_gptq(root)
    learns_and_reloads(root, monkeypatch, lora_dropout=0.1)
def test_gptq_res(root, monkeypatch):
    make_gptq(root)
    resumes_exactly(root, lora_dropout=0.1)

"""What LLaMA-Factory makes of a conversation, found by running it: facts to compare our templates with.

PIECES: every element that it tokenises by itself, for four messages and the system text "Be brief."; BOS and EOS are
ids. DIGESTS: the first letters of sha256 over the text of three conversations, for every template that both have.
"""

from __future__ import annotations

BOS, EOS = 0, 2
_LATE = """
aeva baichuan baichuan2 bailing bailing_v2 breeze chatglm3 dots_ocr falcon fewshot gemma2 glm4 glm4_5v glm4_7
glm4_moe glm4v glm_ocr glmz1 gpt_oss hy_dense_1_8b hy_dense_7b index solar yi_vl
"""
LATE = frozenset(_LATE.split())
PIECES: dict[str, list[list[str | int]]] = {
    "default": [
        ["System: Be brief.", EOS, "\n", "Human: One?", EOS, "\nAssistant:"],
        ["1", EOS, "\n"],
        ["Human: Two 🙂?", EOS, "\nAssistant:"],
        ["zwei\n", EOS, "\n"],
    ],
    "alpaca": [
        ["Be brief.", "### Instruction:\nOne?\n\n### Response:\n"],
        ["1", EOS, "\n\n"],
        ["### Instruction:\nTwo 🙂?\n\n### Response:\n"],
        ["zwei\n", EOS, "\n\n"],
    ],
    "vicuna": [
        ["Be brief.", "USER: One? ASSISTANT:"],
        ["1", EOS],
        ["USER: Two 🙂? ASSISTANT:"],
        ["zwei\n", EOS],
    ],
    "chatml": [
        ["<|im_start|>system\nBe brief.<|im_end|>\n", "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\n"],
        ["1<|im_end|>\n"],
        ["<|im_start|>user\nTwo 🙂?<|im_end|>\n<|im_start|>assistant\n"],
        ["zwei\n<|im_end|>\n"],
    ],
    "llama2": [
        [BOS, "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nOne? [/INST]"],
        ["1", EOS],
        [BOS, "[INST] Two 🙂? [/INST]"],
        ["zwei\n", EOS],
    ],
    "llama3": [
        [
            BOS,
            "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>",
            "<|start_header_id|>user<|end_header_id|>\n\nOne?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        ],
        ["1<|eot_id|>"],
        [
            "<|start_header_id|>user<|end_header_id|>\n\nTwo 🙂?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
        ],
        ["zwei\n<|eot_id|>"],
    ],
    "llama4": [
        [
            BOS,
            "<|header_start|>system<|header_end|>\n\nBe brief.<|eot|>",
            "<|header_start|>user<|header_end|>\n\nOne?<|eot|><|header_start|>assistant<|header_end|>\n\n",
        ],
        ["1<|eot|>"],
        ["<|header_start|>user<|header_end|>\n\nTwo 🙂?<|eot|><|header_start|>assistant<|header_end|>\n\n"],
        ["zwei\n<|eot|>"],
    ],
    "mistral": [
        [BOS, "[INST] Be brief.\n\nOne?[/INST]"],
        [" 1", EOS],
        ["[INST] Two 🙂?[/INST]"],
        [" zwei\n", EOS],
    ],
    "ministral": [
        [BOS, "[INST]Be brief.\n\nOne?[/INST]"],
        ["1", EOS],
        ["[INST]Two 🙂?[/INST]"],
        ["zwei\n", EOS],
    ],
    "mistral_small": [
        [BOS, "[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT]", "[INST]One?[/INST]"],
        ["1", EOS],
        ["[INST]Two 🙂?[/INST]"],
        ["zwei\n", EOS],
    ],
    "qwen": [
        ["<|im_start|>system\nBe brief.<|im_end|>\n", "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\n"],
        ["1<|im_end|>\n"],
        ["<|im_start|>user\nTwo 🙂?<|im_end|>\n<|im_start|>assistant\n"],
        ["zwei\n<|im_end|>\n"],
    ],
    "qwen2_vl": [
        ["<|im_start|>system\nBe brief.<|im_end|>\n", "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\n"],
        ["1<|im_end|>\n"],
        ["<|im_start|>user\nTwo 🙂?<|im_end|>\n<|im_start|>assistant\n"],
        ["zwei\n<|im_end|>\n"],
    ],
    "qwen3": [
        ["<|im_start|>system\nBe brief.<|im_end|>\n", "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\n"],
        ["1<|im_end|>\n"],
        ["<|im_start|>user\nTwo 🙂?<|im_end|>\n<|im_start|>assistant\n"],
        ["zwei\n<|im_end|>\n"],
    ],
    "qwen3_nothink": [
        ["<|im_start|>system\nBe brief.<|im_end|>\n", "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\n"],
        ["1<|im_end|>\n"],
        ["<|im_start|>user\nTwo 🙂?<|im_end|>\n<|im_start|>assistant\n"],
        ["zwei\n<|im_end|>\n"],
    ],
    "gemma": [
        [BOS, "<start_of_turn>user\nBe brief.\n\nOne?<end_of_turn>\n<start_of_turn>model\n"],
        ["1<end_of_turn>\n"],
        ["<start_of_turn>user\nTwo 🙂?<end_of_turn>\n<start_of_turn>model\n"],
        ["zwei\n<end_of_turn>\n"],
    ],
    "gemma2": [
        [BOS, "<start_of_turn>user\nBe brief.\n\nOne?<end_of_turn>\n<start_of_turn>model\n"],
        ["1<end_of_turn>\n"],
        ["<start_of_turn>user\nTwo 🙂?<end_of_turn>\n<start_of_turn>model\n"],
        ["zwei\n<end_of_turn>\n"],
    ],
    "gemma3": [
        [BOS, "<start_of_turn>user\nBe brief.\n\nOne?<end_of_turn>\n<start_of_turn>model\n"],
        ["1<end_of_turn>\n"],
        ["<start_of_turn>user\nTwo 🙂?<end_of_turn>\n<start_of_turn>model\n"],
        ["zwei\n<end_of_turn>\n"],
    ],
    "phi": [
        ["<|system|>\nBe brief.<|end|>\n", "<|user|>\nOne?<|end|>\n<|assistant|>\n"],
        ["1<|end|>\n"],
        ["<|user|>\nTwo 🙂?<|end|>\n<|assistant|>\n"],
        ["zwei\n<|end|>\n"],
    ],
    "phi4": [
        [
            "<|im_start|>system<|im_sep|>Be brief.<|im_end|>",
            "<|im_start|>user<|im_sep|>One?<|im_end|><|im_start|>assistant<|im_sep|>",
        ],
        ["1<|im_end|>"],
        ["<|im_start|>user<|im_sep|>Two 🙂?<|im_end|><|im_start|>assistant<|im_sep|>"],
        ["zwei\n<|im_end|>"],
    ],
    "phi4_mini": [
        ["<|system|>Be brief.<|end|>", "<|user|>One?<|end|><|assistant|>"],
        ["1<|end|>"],
        ["<|user|>Two 🙂?<|end|><|assistant|>"],
        ["zwei\n<|end|>"],
    ],
    "yi": [
        ["<|im_start|>system\nBe brief.<|im_end|>\n", "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\n"],
        ["1<|im_end|>\n"],
        ["<|im_start|>user\nTwo 🙂?<|im_end|>\n<|im_start|>assistant\n"],
        ["zwei\n<|im_end|>\n"],
    ],
    "chatglm3": [
        ["[gMASK]", "sop", "<|system|>", "\n", "Be brief.", "<|user|>", "\n", "One?", "<|assistant|>"],
        ["\n", "1"],
        ["<|user|>", "\n", "Two 🙂?", "<|assistant|>"],
        ["\n", "zwei\n"],
    ],
    "glm4": [
        ["[gMASK]<sop>", "<|system|>\nBe brief.", "<|user|>\nOne?<|assistant|>"],
        ["\n1"],
        ["<|user|>\nTwo 🙂?<|assistant|>"],
        ["\nzwei\n"],
    ],
    "deepseek": [
        [BOS, "Be brief.\n\n", "User: One?\n\nAssistant:"],
        ["1", EOS],
        ["User: Two 🙂?\n\nAssistant:"],
        ["zwei\n", EOS],
    ],
    "deepseek3": [
        [BOS, "Be brief.", "<｜User｜>One?<｜Assistant｜>"],
        ["1", EOS],
        ["<｜User｜>Two 🙂?<｜Assistant｜>"],
        ["zwei\n", EOS],
    ],
    "deepseekr1": [
        [BOS, "Be brief.", "<｜User｜>One?<｜Assistant｜>"],
        ["1", EOS],
        ["<｜User｜>Two 🙂?<｜Assistant｜>"],
        ["zwei\n", EOS],
    ],
    "falcon": [
        ["Be brief.", "User: One?\nFalcon:"],
        ["1\n"],
        ["User: Two 🙂?\nFalcon:"],
        ["zwei\n\n"],
    ],
    "smollm2": [
        ["<|im_start|>system\nBe brief.<|im_end|>\n", "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\n"],
        ["1<|im_end|>\n"],
        ["<|im_start|>user\nTwo 🙂?<|im_end|>\n<|im_start|>assistant\n"],
        ["zwei\n<|im_end|>\n"],
    ],
    "zephyr": [
        ["<|system|>\nBe brief.", EOS, "<|user|>\nOne?", EOS, "<|assistant|>\n"],
        ["1", EOS],
        ["<|user|>\nTwo 🙂?", EOS, "<|assistant|>\n"],
        ["zwei\n", EOS],
    ],
    "openchat": [
        [BOS, "Be brief.", "GPT4 Correct User: One?", EOS, "GPT4 Correct Assistant:"],
        ["1", EOS],
        ["GPT4 Correct User: Two 🙂?", EOS, "GPT4 Correct Assistant:"],
        ["zwei\n", EOS],
    ],
    "empty": [
        ["Be brief.", "One?"],
        ["1"],
        ["Two 🙂?"],
        ["zwei\n"],
    ],
    "solar": [
        ["### System:\nBe brief.\n\n", "### User:\nOne?\n\n### Assistant:\n"],
        ["1"],
        ["### User:\nTwo 🙂?\n\n### Assistant:\n"],
        ["zwei\n"],
    ],
    "fewshot": [
        ["Be brief.", "One?"],
        ["1\n\n"],
        ["Two 🙂?"],
        ["zwei\n\n\n"],
    ],
    "phi3": [
        ["<|system|>\nBe brief.<|end|>\n", "<|user|>\nOne?<|end|>\n<|assistant|>\n"],
        ["1<|end|>\n"],
        ["<|user|>\nTwo 🙂?<|end|>\n<|assistant|>\n"],
        ["zwei\n<|end|>\n"],
    ],
    "baichuan2": [
        ["Be brief.", "<reserved_106>", "One?", "<reserved_107>"],
        ["1"],
        ["<reserved_106>", "Two 🙂?", "<reserved_107>"],
        ["zwei\n"],
    ],
}
_DIGESTS = """
aeva:a654940e4aaf  alpaca:eea16dc6af15  bailing:e3218f8da9ea  bailing_v2:b565bb7cee21  breeze:2f45d2b07cff
chatglm3:c424040a8c9e  chatml:27c6a5b1b907  chatml_de:f6ec14af5eea  cohere:9fffa75510d0  cpm4:3eb2e33eb6dc
deepseek:5b4a67a532ca  deepseek3:5cc0638aed95  deepseekcoder:dee7e832ee32  deepseekr1:6b3d8932b5e8
default:709d9f9413a9  dots_ocr:03f41a7fde69  empty:b18263d18eb3  ernie:99f8852bd971  ernie_nothink:8043ea848217
ernie_vl:a6288d824acd  exaone:f20e787b4da1  falcon:0c1282400784  falcon_h1:3eb2e33eb6dc  fewshot:e369e94a6ded
gemma:07ab02148fc5  gemma2:07ab02148fc5  gemma3:07ab02148fc5  gemma3n:07ab02148fc5  glm4:46758f745f7d
glm4_5v:ec775a7c4c25  glm4_7:cf35bea9e8ba  glm4_moe:ec775a7c4c25  glm4v:70237bff1010  glm_ocr:46758f745f7d
glmz1:70237bff1010  gpt_oss:1483d029c6a6  granite3:be756e58c3fb  granite3_vision:1d271ceae749  granite4:1b77e1de72fb
hunyuan:8f4fd38ab4cb  hunyuan_small:f5b2e2b7c113  hy3:862bc68f7ee1  hy_dense_1_8b:12c7965b0605
hy_dense_7b:e6db4e43c632  index:844faee1516a  intern2:eeb9c7de49c8  intern_s1:97b19f83cd25  intern_vl:88a854e6a4f1
keye_vl:d9d7872656cf  kimi_vl:ca5c75221b50  lfm2:927a7771d05a  lfm2_vl:912d8e3417fe  llama2:e73150a3d6e9
llama2_zh:2c5aef87b3cd  llama3:b8aa9d01e4bc  llama4:cfa4aee2b198  llava:2156610c188a  llava_next:2156610c188a
llava_next_llama3:b8aa9d01e4bc  llava_next_mistral:a575437ba096  llava_next_qwen:85bcaff52a99
llava_next_video:2156610c188a  llava_next_video_mistral:a575437ba096  llava_next_video_yi:972d5c0c5f9c
llava_next_yi:972d5c0c5f9c  mimo:a6fc5160942c  mimo_v2:6fd1aa03375b  mimo_vl:19a23096dbe3  minicpm_o:a561b8322740
minicpm_v:66d297719ae7  minicpm_v_4_6:66d297719ae7  minimax1:d6b2f072da9e  minimax2:01523c8b67be
ministral:373d7082848a  ministral3:373d7082848a  mistral:a575437ba096  mistral_small:9a347c46aa3f
mllama:b8aa9d01e4bc  moonlight:16924ccdf833  olmo:3e05d2865592  openchat:374d5d519008  openchat-3.6:48cb90835b34
opencoder:d6ef3e899790  paligemma:bffe4dd4301c  paligemma_chat:90bc66c77a74  phi:36538c477c2a  phi4:46eb44f3155d
phi4_mini:9de7076fdf4c  pixtral:373d7082848a  qwen:57653f884c3b  qwen2_audio:66d297719ae7  qwen2_omni:85bcaff52a99
qwen2_vl:85bcaff52a99  qwen3:d9d7872656cf  qwen3_5:7563bbc3d130  qwen3_5_nothink:29c15c6930aa  qwen3_6:7563bbc3d130
qwen3_nothink:81b7bf70194a  qwen3_omni:d9d7872656cf  qwen3_omni_nothink:81b7bf70194a  qwen3_vl:d9d7872656cf
qwen3_vl_nothink:81b7bf70194a  sailor:15eb21792934  seed_coder:fae3d8d04ebe  seed_oss:9be86805291a
smollm:972d5c0c5f9c  smollm2:8ec0d42a359c  solar:56a61162e3ac  starchat:80d0ff9061f0  telechat2:8f177a12b300
vicuna:2156610c188a  video_llava:2156610c188a  xuanyuan:fa9711d6201e  yi:972d5c0c5f9c  yi_vl:561ed63c4ad0
youtu:df3c37b6ddd5  youtu_vl:c09ae102d67e  yuan:fe73e2245881  zephyr:133324e23520
"""
DIGESTS = dict(each.split(":") for each in _DIGESTS.split())

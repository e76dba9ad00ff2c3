"""Chat templates as the field has them, written by us: every habit that makes splitting hard."""

from __future__ import annotations

_IM = "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
_OPEN = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
_SYSTEM = "{% set first = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}"
_REST = "{% set rest = messages[1:] if messages[0]['role'] == 'system' else messages %}"

CHATML = f"{{% for m in messages %}}{_IM}{{% endfor %}}{_OPEN}"
# Writes a system message where there is none.
CHATML_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nBe helpful.<|im_end|>\\n' }}{% endif %}" + CHATML
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
# Trims, renames the assistant, and forbids system messages.
GEMMA = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n'"
    " + m['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
# The system text belongs to the first question.
LLAMA2 = (
    _SYSTEM + _REST + "{% for m in rest %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' }}"
    "{% if loop.first and first %}{{ '<<SYS>>\\n' + first + '\\n<</SYS>>\\n\\n' }}{% endif %}"
    "{{ m['content'].strip() + ' [/INST]' }}{% else %}{{ ' ' + m['content'].strip() + ' ' + eos_token }}{% endif %}"
    "{% endfor %}"
)
# The system text moves to the last question, and is not there at all when an answer is the last message.
MISTRAL = (
    _SYSTEM + _REST + "{{ bos_token }}{% for m in rest %}{% if m['role'] == 'user' %}"
    "{% if loop.last and first %}{{ '[INST] ' + first + '\\n\\n' + m['content'] + '[/INST]' }}"
    "{% else %}{{ '[INST] ' + m['content'] + '[/INST]' }}{% endif %}"
    "{% else %}{{ ' ' + m['content'] | trim + eos_token }}{% endif %}{% endfor %}"
)
# Thoughts stay behind the last question only; the last answer has an empty thought where it has none.
QWEN3 = (
    "{% for m in messages %}{% set text = m['content'] %}{% set thought = '' %}"
    "{% if m['role'] == 'assistant' and '</think>' in text %}"
    "{% set thought = text.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}"
    "{% set text = text.split('</think>')[-1].lstrip('\\n') %}{% endif %}{{ '<|im_start|>' + m['role'] + '\\n' }}"
    "{% if m['role'] == 'assistant' and loop.last %}"
    "{{ '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + text.lstrip('\\n') }}"
    "{% else %}{{ text }}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}"
    + _OPEN
    + "{% if add_generation_prompt and enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
)
# Opens thoughts before the answer, and leaves them out of every answer that it is shown.
DEEPSEEK_R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|User|>' + m['content'] }}"
    "{% elif m['role'] == 'system' %}{{ m['content'] }}"
    "{% else %}{{ '<|Assistant|>' + m['content'].split('</think>')[-1] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|><think>\\n' }}{% endif %}"
)
# The end token stands once, behind everything.
END_ONCE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"
)
# Plain words, as base models have them.
WORDS = (
    "{% for m in messages %}"
    "{{ {'user': 'Human: ', 'assistant': 'Assistant: ', 'system': ''}[m['role']] + m['content'] }}"
    "{{ eos_token if m['role'] == 'assistant' else '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"
)
# The roles must take turns, or it refuses.
STRICT = (
    "{% for m in messages %}{% if m['role'] == 'tool' %}{{ raise_exception('no tools') }}{% endif %}" + _IM
    + "{% endfor %}" + _OPEN
)  # fmt: skip
# Tools and calls as Qwen2.5 has them.
TOOLED = (
    "{% if tools %}{{ '<|im_start|>system\\n' }}"
    "{{ (messages[0]['content'] + '\\n' if messages[0]['role'] == 'system' else '') + '<tools>' }}"
    "{% for tool in tools %}{{ '\\n' + (tool | tojson) }}{% endfor %}{{ '\\n</tools><|im_end|>\\n' }}"
    "{% elif messages[0]['role'] == 'system' %}{{ '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{% endif %}{% for m in messages %}{% if m['role'] == 'tool' %}"
    "{{ '<|im_start|>user\\n<tool_response>\\n' + m['content'] + '\\n</tool_response><|im_end|>\\n' }}"
    "{% elif m['role'] != 'system' %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] }}"
    "{% for call in m.tool_calls or [] %}{{ ('\\n' if m['content'] else '') + '<tool_call>\\n{\"name\": \"'"
    " + call.function.name + '\", \"arguments\": ' + (call.function.arguments | tojson) + '}\\n</tool_call>' }}"
    "{% endfor %}{{ '<|im_end|>\\n' }}{% endif %}{% endfor %}" + _OPEN
)
# Cannot be split: the first thing it says is how many messages there are.
COUNTING = "{{ messages | length }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
# Cannot be split either: it begins with the last message.
BACKWARDS = f"{{% for m in messages | reverse %}}{_IM}{{% endfor %}}{_OPEN}"

SPLITTABLE = {
    "chatml_like": CHATML,
    "chatml_system": CHATML_SYSTEM,
    "llama3_like": LLAMA3,
    "gemma_like": GEMMA,
    "llama2_like": LLAMA2,
    "mistral_like": MISTRAL,
    "qwen3_like": QWEN3,
    "deepseek_r1": DEEPSEEK_R1,
    "end_once": END_ONCE,
    "words": WORDS,
    "strict": STRICT,
    "tooled": TOOLED,
}
UNSPLITTABLE = {"counting": COUNTING, "backwards": BACKWARDS}
MARKS = (
    "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]",
    "<|User|>", "<|Assistant|>", "<|user|>", "<|assistant|>", "<|system|>",
)  # fmt: skip
ORDINARY = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")

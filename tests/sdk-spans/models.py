"""OpenAI and Anthropic on the loopback, as far as their Python packages can tell.

The model's name says what happens: one that ends in `-broken` is refused (as is whatever is asked below `/broken/`),
one in `-cut` dies in the middle of its stream, one in `-mute` streams without ever saying what it used. All others
answer "It comes tomorrow.", or call the first tool that they are offered and have not called yet. The figures are
always the same, and differ from each other.
"""

import json
from http.server import BaseHTTPRequestHandler

from local import Local

ANSWER = ["It comes", " tomorrow", "."]
ARGUMENTS = {"order": "A-9"}

# OpenAI counts what it read from its cache among the prompt, and the reasoning among the completion.
OPENAI_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 7},
}
OPENAI_ROW = {
    "prompt_tokens": 60,
    "completion_tokens": 20,
    "cache_read_tokens": 40,
    "reasoning_tokens": 7,
    "total_tokens": 120,
}

# Anthropic counts the three kinds of input apart.
ANTHROPIC_USAGE = {
    "input_tokens": 30,
    "output_tokens": 12,
    "cache_read_input_tokens": 200,
    "cache_creation_input_tokens": 50,
}
ANTHROPIC_ROW = {
    "prompt_tokens": 30,
    "completion_tokens": 12,
    "cache_read_tokens": 200,
    "cache_write_tokens": 50,
    "total_tokens": 292,
}

EMBEDDING_USAGE = {"prompt_tokens": 9, "total_tokens": 9}
EMBEDDING_ROW = {"embedding_tokens": 9, "total_tokens": 9}


def answering(model):
    """The full name under which a model answers, as providers do."""
    return f"{model}-2026-01-31"


class Models(Local):
    def __init__(self):
        super().__init__(_Model)

    @property
    def anthropic(self):
        """The base address for the package `anthropic`."""
        return self.endpoint

    @property
    def openai(self):
        """The base address for the package `openai`."""
        return f"{self.anthropic}/v1"


class _Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        self.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.model = self.asked["model"]
        if self.model.endswith("-broken") or self.path.startswith("/broken/"):
            return self.answer({"error": {"type": "invalid_request_error", "message": "the model is broken"}}, 400)
        {
            "/v1/chat/completions": self.chat,
            "/v1/embeddings": self.embeddings,
            "/v1/messages": self.messages,
        }[self.path]()

    def chat(self):
        kind = "chat.completion.chunk" if self.asked.get("stream") else "chat.completion"
        head = {"id": "chatcmpl-1", "object": kind, "created": 1767225600, "model": answering(self.model)}
        call = self.tool_to_call()
        if not self.asked.get("stream"):
            said = {"role": "assistant", "content": None if call else "".join(ANSWER)}
            if call:
                said["tool_calls"] = [call]
            choice = {"index": 0, "message": said, "finish_reason": "tool_calls" if call else "stop"}
            return self.answer(head | {"choices": [choice], "usage": OPENAI_USAGE})
        deltas = [{"role": "assistant", "content": ""}]
        deltas += [{"tool_calls": [{"index": 0} | call]}] if call else [{"content": part} for part in ANSWER]
        chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        end = "tool_calls" if call else "stop"
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": end}]})
        wanted = (self.asked.get("stream_options") or {}).get("include_usage")
        if wanted and not self.model.endswith("-mute"):
            chunks.append({"choices": [], "usage": OPENAI_USAGE})
        self.stream([(None, head | chunk) for chunk in chunks] + [(None, "[DONE]")])

    def tool_to_call(self):
        """The first tool, unless the last message is what a tool has said."""
        tools = self.asked.get("tools")
        if not tools or self.asked["messages"][-1]["role"] == "tool":
            return None
        name = tools[0]["function"]["name"]
        return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": json.dumps(ARGUMENTS)}}

    def embeddings(self):
        data = [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}]
        self.answer({"object": "list", "model": self.model, "data": data, "usage": EMBEDDING_USAGE})

    def messages(self):
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": answering(self.model)}
        head |= {"stop_sequence": None}
        if not self.asked.get("stream"):
            call = self.tool_to_use()
            content = [call or {"type": "text", "text": "".join(ANSWER)}]
            reason = "tool_use" if call else "end_turn"
            return self.answer(head | {"content": content, "stop_reason": reason, "usage": ANTHROPIC_USAGE})
        started = head | {"content": [], "stop_reason": None, "usage": ANTHROPIC_USAGE | {"output_tokens": 1}}
        events = [{"type": "message_start", "message": started}]
        events += [{"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}]
        events += [
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": part}}
            for part in ANSWER
        ]
        events += [{"type": "content_block_stop", "index": 0}]
        ended = {"stop_reason": "end_turn", "stop_sequence": None}
        events += [{"type": "message_delta", "delta": ended, "usage": {"output_tokens": 12}}]
        events += [{"type": "message_stop"}]
        self.stream([(event["type"], event) for event in events])

    def tool_to_use(self):
        """The same for Anthropic, where the user hands on what a tool has said."""
        tools, last = self.asked.get("tools"), self.asked["messages"][-1]["content"]
        if not tools or not isinstance(last, str) and any(part["type"] == "tool_result" for part in last):
            return None
        return {"type": "tool_use", "id": "toolu_1", "name": tools[0]["name"], "input": ARGUMENTS}

    def stream(self, events):
        """Server-sent events. The connection's end is the stream's."""
        if self.model.endswith("-cut"):
            # Announced and not kept: the client sees a transfer that breaks off.
            self.send_head(200, [("Content-Type", "text/event-stream"), ("Content-Length", "100000")])
            events = events[:2]
        else:
            self.send_head(200, [("Content-Type", "text/event-stream"), ("Connection", "close")])
        for name, data in events:
            text = data if isinstance(data, str) else json.dumps(data)
            self.wfile.write(((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode())
        self.close_connection = True

    def answer(self, body, status=200):
        content = json.dumps(body).encode()
        self.send_head(status, [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
        self.wfile.write(content)

    def send_head(self, status, headers):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.health import classes
from router.health.classes import classify_inside, classify_status, error_text
from tests.support.slow import within

CASES = Path(__file__).resolve().parent.parent / "data" / "wire" / "cases"
CLASSES = {value for name, value in vars(classes).items() if name.isupper() and isinstance(value, str)}


def recorded(name: str) -> tuple[int, bytes]:
    response = json.loads((CASES / f"{name}.json").read_text("utf-8"))["response"]
    body = response["body"]
    return response["status"], (body if isinstance(body, str) else json.dumps(body)).encode()


def openai(message: str, code: str | None = None, kind: str | None = None) -> str:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def anthropic(kind: str, message: str) -> str:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("anthropic-messages.anthropic.messages-testasyncstream-a8b7dbb8.1", "rate"),
        ("anthropic-messages.anthropic.model-name-suggestion-anthropic", "not-found"),
        ("anthropic-messages.anthropic.runners-testsyncruntools-f59a9391.2", "bad-request"),
        ("anthropic-messages.documented.error-401", "auth"),
        ("anthropic-messages.documented.error-413", "bad-request"),
        ("anthropic-messages.documented.error-529", "overloaded"),
        ("gemini.google-gemini.google-429-retry-info", "quota"),  # without its wait; with it: see below
        ("openai-chat.documented.error-401", "auth"),
        ("openai-chat.documented.error-429-rate-limit", "rate"),
        ("openai-chat.documented.error-context-length", "context-length"),
        ("openai-chat.documented.error-html-502", "server"),
        ("openai-chat.openai.openai-web-search-tool-model-not-supported", "bad-request"),
        ("openai-chat.openai.reasoning-model-legacy-parameter-error", "bad-request"),
        ("openai-chat.openrouter.openrouter-errors-raised.1", "rate"),
        ("openai-responses.deepseek.deepseek-responses-rejects-interleaved-function-calls", "bad-request"),
        ("openai-responses.openai.openai-error-1", "quota"),
    ],
)
def test_recorded_errors_have_their_class(name: str, expected: str) -> None:
    status, body = recorded(name)
    assert classify_status(status, message=error_text(body)) == expected


def test_the_recorded_errors_are_all_here() -> None:
    errors = {
        path.stem for path in CASES.glob("*.json") if json.loads(path.read_text("utf-8"))["response"]["status"] >= 400
    }
    marks = test_recorded_errors_have_their_class.pytestmark  # type: ignore[attr-defined]
    assert {name for name, _ in marks[0].args[1]} == errors


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, "server"), (400, "bad-request"), (401, "auth"), (402, "quota"), (403, "auth"), (404, "not-found"),
        (405, "not-found"), (408, "timeout"), (409, "bad-request"), (410, "not-found"), (413, "bad-request"),
        (418, "bad-request"), (422, "bad-request"), (424, "server"), (429, "rate"), (498, "rate"), (500, "server"),
        (501, "server"), (502, "server"), (503, "overloaded"), (504, "timeout"), (520, "server"), (524, "timeout"),
        (529, "overloaded"), (599, "server"),
    ],
)  # fmt: skip
def test_a_status_alone_has_a_class(status: int, expected: str) -> None:
    assert classify_status(status) == expected


GEMINI_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    "head to: https://ai.google.dev/gemini-api/docs/rate-limits.\n* Quota exceeded for metric: "
    "generativelanguage.googleapis.com/generate_content_free_tier_input_token_count, limit: 250000, model: "
    "gemini-2.5-flash\nPlease retry in 38.9s."
)
GROQ = "Rate limit reached for model `llama-3.3-70b-versatile` in organization `org_1` service tier `on_demand` on "
NEED_MORE = " Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing"

ERRORS = [
    # --- spent accounts
    pytest.param(
        400,
        anthropic(
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API. "
            "Please go to Plans & Billing to upgrade or purchase credits.",
        ),
        "quota",
        id="Anthropic: no credit",
    ),
    pytest.param(
        400,
        anthropic(
            "invalid_request_error",
            "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
        ),
        "quota",
        id="Anthropic: own spend limit",
    ),
    pytest.param(429, anthropic("rate_limit_error", "Spend limit reached."), "quota", id="Anthropic: spend limit"),
    pytest.param(
        429,
        openai(
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
            "insufficient_quota",
        ),
        "quota",
        id="OpenAI: no credit",
    ),
    pytest.param(
        429,
        openai("You exceeded your current quota, please check your plan and billing details."),
        "quota",
        id="OpenAI: no credit, without its code",
    ),
    pytest.param(
        400,
        openai("Billing hard limit has been reached", "billing_hard_limit_reached"),
        "quota",
        id="OpenAI: hard limit",
    ),
    pytest.param(402, openai("Insufficient Balance", "invalid_request_error"), "quota", id="DeepSeek: no balance"),
    pytest.param(
        402,
        openai(
            "This request requires more credits, or fewer max_tokens. You requested up to 32000 "
            "tokens, but can only afford 1234."
        ),
        "quota",
        id="OpenRouter: too dear for the credit",
    ),
    pytest.param(
        403,
        openai("Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys"),
        "quota",
        id="OpenRouter: the key's limit",
    ),
    pytest.param(
        429,
        openai("Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day"),
        "quota",
        id="OpenRouter: free requests of the day",
    ),
    pytest.param(
        403,
        '{"code":"permission-denied","error":"Your team 1 has either used all available credits or '
        'reached its monthly spending limit. To continue making API requests, please purchase more credits"}',
        "quota",
        id="xAI: credits or limit",
    ),
    pytest.param(
        401,
        '{"type":"error","error":{"type":"CreditsError","message":"Insufficient balance."}}',
        "quota",
        id="OpenCode Zen: no balance",
    ),
    pytest.param(
        429,
        openai(
            "Your account org-1 <ak-1> is suspended, please check your plan and billing details",
            None,
            "exceeded_current_quota_error",
        ),
        "quota",
        id="Moonshot: suspended",
    ),
    pytest.param(
        429,
        openai("Insufficient balance or no resource package. Please recharge.", "1113"),
        "quota",
        id="Z.ai: no balance",
    ),
    pytest.param(
        429,
        openai("Usage limit reached for 5 hour. Your limit will reset at 2026-11-21 18:55:29", "1308"),
        "quota",
        id="Z.ai: plan used up",
    ),
    pytest.param(
        429,
        openai("Weekly/Monthly Limit Exhausted. Your limit will reset at 2026-11-27 12:05:49", "1310"),
        "quota",
        id="Z.ai: week used up",
    ),
    pytest.param(
        429,
        '{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached",'
        '"plan_type":"plus","resets_in_seconds":7200}}',
        "quota",
        id="ChatGPT: plan used up",
    ),
    pytest.param(
        412,
        openai("Account acme is suspended, possibly due to reaching the monthly spending limit"),
        "quota",
        id="Fireworks: suspended",
    ),
    pytest.param(
        400,
        openai("Access denied, please make sure your account is in good standing.", "Arrearage"),
        "quota",
        id="DashScope: overdue",
    ),
    pytest.param(
        403,
        '{"code":403,"reason":"NOT_ENOUGH_BALANCE","message":"not enough balance"}',
        "quota",
        id="Novita: no balance",
    ),
    pytest.param(
        429,
        '{"error":{"code":429,"message":"You exceeded your current quota. Please retry in 12s.","details":'
        '[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]}}',
        "quota",
        id="Google: requests of the day",
    ),
    pytest.param(
        429,
        openai("Tokens per day limit exceeded - too many tokens processed.", "token_quota_exceeded"),
        "quota",
        id="Cerebras: tokens of the day",
    ),
    # --- rate limits
    pytest.param(
        429,
        GROQ + "tokens per minute (TPM): Limit 12000, Used 4437, Requested 9854." + NEED_MORE,
        "rate",
        id="Groq: tokens per minute; its text has the word billing",
    ),
    pytest.param(
        429,
        openai(
            "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version "
            "2024-10-21 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after "
            "6 seconds.",
            "429",
        ),
        "rate",
        id="Azure: token rate",
    ),
    pytest.param(
        429,
        anthropic("rate_limit_error", "Number of concurrent connections has exceeded your rate limit"),
        "rate",
        id="Anthropic: concurrent connections",
    ),
    pytest.param(
        429,
        '{"object":"error","message":"Requests rate limit exceeded","type":"rate_limited","code":"1300"}',
        "rate",
        id="Mistral: requests",
    ),
    pytest.param(
        429,
        openai("The engine is currently overloaded, please try again later", None, "engine_overloaded_error"),
        "rate",
        id="Moonshot: busy with 429, which never counts against a target",
    ),
    pytest.param(429, "", "rate", id="no body"),
    # --- ramp-up
    pytest.param(
        429,
        openai(
            "Request rate increased too quickly. To ensure system stability, please adjust your client "
            "logic to scale requests more smoothly over time.",
            "limit_burst_rate",
        ),
        "ramp-up",
        id="DashScope: burst",
    ),
    pytest.param(
        429,
        anthropic(
            "rate_limit_error",
            "This request would exceed your organization's maximum usage increase "
            "rate for input tokens per minute. Please scale up your input tokens usage more gradually to stay within "
            "the acceleration limit.",
        ),
        "ramp-up",
        id="Anthropic: acceleration",
    ),
    # --- keys
    pytest.param(
        400,
        '{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":'
        '"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}',
        "auth",
        id="Gemini: wrong key",
    ),
    pytest.param(
        400,
        '{"error":{"code":400,"message":"API key expired. Please renew the API key."}}',
        "auth",
        id="Gemini: old key",
    ),
    pytest.param(
        400,
        '{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***"}',
        "auth",
        id="xAI: wrong key",
    ),
    pytest.param(
        400,
        anthropic("invalid_request_error", "This organization has been disabled."),
        "auth",
        id="Anthropic: disabled",
    ),
    pytest.param(
        403,
        anthropic("permission_error", "Your API key does not have permission to use the specified resource."),
        "auth",
        id="Anthropic: no permission",
    ),
    pytest.param(403, "<html><title>Just a moment...</title></html>", "auth", id="a guard before the provider"),
    # --- models
    pytest.param(
        404,
        openai("The model `gpt-9` does not exist or you do not have access to it.", "model_not_found"),
        "not-found",
        id="OpenAI: no such model",
    ),
    pytest.param(
        403,
        openai("Project `proj_1` does not have access to model `gpt-5`", "model_not_found"),
        "not-found",
        id="OpenAI: a model of others",
    ),
    pytest.param(400, openai("Model Not Exist", "invalid_request_error"), "not-found", id="DeepSeek: no such model"),
    pytest.param(400, openai("acme/nothing is not a valid model ID"), "not-found", id="OpenRouter: no such model"),
    pytest.param(
        400,
        '{"object":"error","message":"Invalid model: mistral-x","type":"invalid_model","code":"1500"}',
        "not-found",
        id="Mistral: no such model",
    ),
    pytest.param(
        400, openai("Unknown Model, please check the model code.", "1211"), "not-found", id="Z.ai: no such model"
    ),
    pytest.param(
        400,
        openai("The model `llama3-70b` has been decommissioned and is no longer supported.", "model_decommissioned"),
        "not-found",
        id="Groq: a retired model",
    ),
    pytest.param(
        400,
        openai("The requested model is not supported.", "model_not_supported"),
        "not-found",
        id="Copilot: no such model",
    ),
    pytest.param(
        404,
        openai("Previous response with id 'resp_1' not found.", "previous_response_not_found"),
        "bad-request",
        id="OpenAI: an unknown reply, not an unknown model",
    ),
    pytest.param(
        404,
        openai("Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."),
        "bad-request",
        id="OpenAI: an unknown item",
    ),
    pytest.param(
        404,
        openai("No endpoints found that support image input"),
        "bad-request",
        id="OpenRouter: nobody takes such a request",
    ),
    # --- too long
    pytest.param(
        400,
        anthropic("invalid_request_error", "prompt is too long: 203456 tokens > 200000 maximum"),
        "context-length",
        id="Anthropic: too long",
    ),
    pytest.param(
        400,
        anthropic(
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 188240 + "
            "21333 > 200000, decrease input length or `max_tokens` and try again",
        ),
        "context-length",
        id="Anthropic: too long with its answer",
    ),
    pytest.param(
        400,
        openai(
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
            "context_length_exceeded",
        ),
        "context-length",
        id="OpenAI: too long",
    ),
    pytest.param(
        400, openai("Please reduce the prompt.", "context_length_exceeded"), "context-length", id="by the code"
    ),
    pytest.param(
        400,
        '{"error":{"message":"The input token count (1200000) exceeds the maximum number of tokens allowed '
        '(1048576)."}}',
        "context-length",
        id="Gemini: too long",
    ),
    pytest.param(
        400,
        '{"error":{"message":"Unable to submit request because the input token count is 1048577 but model '
        'only supports up to 1048576."}}',
        "context-length",
        id="Vertex: too long",
    ),
    pytest.param(
        400,
        openai("Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192"),
        "context-length",
        id="Cerebras: too long",
    ),
    pytest.param(
        400,
        '{"message":"Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 '
        'maximum context length","code":"3051"}',
        "context-length",
        id="Mistral: too long",
    ),
    pytest.param(
        400,
        '{"error":"This model\'s maximum prompt length is 131072 but the request contains 150000 tokens."}',
        "context-length",
        id="xAI: too long",
    ),
    pytest.param(
        400,
        openai("This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens"),
        "context-length",
        id="OpenRouter: too long",
    ),
    pytest.param(
        400,
        openai("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]"),
        "context-length",
        id="DashScope: too long",
    ),
    pytest.param(400, openai("Prompt exceeds max length", "1261"), "context-length", id="Z.ai: too long"),
    pytest.param(
        400, openai("invalid params, context window exceeds limit (2013)"), "context-length", id="MiniMax: too long"
    ),
    pytest.param(
        400,
        openai("Invalid request: Your request exceeded model token limit: 262144 (requested: 291351)"),
        "context-length",
        id="Moonshot: too long",
    ),
    pytest.param(
        400,
        '{"error":{"code":400,"message":"request (9412 tokens) exceeds the available context size (8192 '
        'tokens), try increasing it","type":"exceed_context_size_error"}}',
        "context-length",
        id="llama.cpp: too long",
    ),
    pytest.param(
        400,
        '{"error":"The number of tokens to keep from the initial prompt is greater than the context length"}',
        "context-length",
        id="LM Studio: too long",
    ),
    pytest.param(
        400,
        openai("The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
        "context-length",
        id="vLLM: too long",
    ),
    pytest.param(
        400,
        openai("The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
        "context-length",
        id="SGLang: too long",
    ),
    pytest.param(
        500,
        '{"error":"prompt too long; exceeded max context length by 4 tokens"}',
        "context-length",
        id="Ollama: too long, told as its own fault",
    ),
    pytest.param(
        400,
        openai("prompt token count of 130000 exceeds the limit of 128000", "model_max_prompt_tokens_exceeded"),
        "context-length",
        id="Copilot: too long",
    ),
    pytest.param(
        413,
        openai("Request body too large for gpt-4o model. Max size: 8000 tokens.", "tokens_limit_reached"),
        "context-length",
        id="GitHub Models: too long",
    ),
    pytest.param(
        422,
        '{"error":"Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",'
        '"error_type":"validation"}',
        "context-length",
        id="Hugging Face: too long",
    ),
    pytest.param(
        413,
        openai(
            "Request too large for model `llama-3.1-8b-instant` in organization `o` service tier "
            "`on_demand` on tokens per minute (TPM): Limit 6000, Requested 6294, please reduce your message size "
            "and try again." + NEED_MORE
        ),
        "context-length",
        id="Groq: more than a minute's tokens",
    ),
    pytest.param(
        429,
        openai(
            "Request too large for gpt-4.1 in organization org-1 on tokens per min (TPM): Limit 30000, Requested 31538."
        ),
        "context-length",
        id="OpenAI: more than a minute's tokens",
    ),
    # --- policy
    pytest.param(
        400,
        openai(
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
            "content_filter",
        ),
        "content-filter",
        id="Azure: filtered",
    ),
    pytest.param(
        400,
        anthropic("invalid_request_error", "Output blocked by content filtering policy"),
        "content-filter",
        id="Anthropic: filtered",
    ),
    pytest.param(
        400,
        openai("Your request was rejected as a result of our safety system.", "content_policy_violation"),
        "content-filter",
        id="OpenAI: filtered",
    ),
    pytest.param(
        400,
        openai("Invalid prompt: your prompt was flagged as potentially violating our usage policy.", "invalid_prompt"),
        "content-filter",
        id="OpenAI: flagged",
    ),
    pytest.param(
        403,
        '{"error":{"message":"Input flagged by moderation","code":403,"metadata":{"reasons":["x"]}}}',
        "content-filter",
        id="OpenRouter: moderated, not a wrong key",
    ),
    pytest.param(
        403,
        '{"code":"x","error":"Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}',
        "content-filter",
        id="xAI: filtered, not a wrong key",
    ),
    pytest.param(
        400, openai("Content Exists Risk", "invalid_request_error"), "content-filter", id="DeepSeek: filtered"
    ),
    pytest.param(
        400,
        openai("Input data may contain inappropriate content.", "data_inspection_failed"),
        "content-filter",
        id="DashScope: filtered",
    ),
    pytest.param(
        400,
        openai("The request was rejected because it was considered high risk"),
        "content-filter",
        id="Moonshot: filtered",
    ),
    # --- the model's own failure
    pytest.param(
        400,
        openai("Failed to call a function. Please adjust your prompt.", "tool_use_failed"),
        "soft",
        id="Groq: a tool call that can't be parsed",
    ),
    # --- the client's request
    pytest.param(
        400,
        openai(
            "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length "
            "64, but got a string with length 71 instead.",
            "string_above_max_length",
        ),
        "bad-request",
        id="a name that is too long is no conversation that is",
    ),
    pytest.param(
        400,
        openai(
            "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, "
            "whereas you provided 100000."
        ),
        "bad-request",
        id="OpenAI: too long an answer asked for",
    ),
    pytest.param(
        400,
        anthropic(
            "invalid_request_error",
            "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens for claude-3-haiku",
        ),
        "bad-request",
        id="Anthropic: too long an answer asked for",
    ),
    pytest.param(
        400,
        openai("Unsupported parameter: 'temperature' is not supported with this model."),
        "bad-request",
        id="a parameter the model lacks",
    ),
    # --- the provider's fault
    pytest.param(500, anthropic("api_error", "Internal server error"), "server", id="Anthropic: broken"),
    pytest.param(503, openai("The server is overloaded or not ready yet."), "overloaded", id="OpenAI: busy"),
]


@pytest.mark.parametrize(("status", "body", "expected"), ERRORS)
def test_providers_words_decide(status: int, body: str, expected: str) -> None:
    assert classify_status(status, message=error_text(body.encode())) == expected


@pytest.mark.parametrize(
    ("message", "wait_s", "expected"),
    [
        pytest.param(GEMINI_QUOTA, 38.9, "rate", id="Google: exceeded quota, for a minute"),
        pytest.param(GEMINI_QUOTA, 3600.0, "quota", id="Google: exceeded quota, for an hour"),
        pytest.param(GROQ + "tokens per day (TPD): Limit 100000." + NEED_MORE, 129.0, "rate", id="a day, nearly over"),
        pytest.param(GROQ + "tokens per day (TPD): Limit 100000." + NEED_MORE, 578.0, "quota", id="a day"),
        pytest.param("GenerateRequestsPerDayPerProjectPerModel-FreeTier", 12.0, "quota", id="Google: a day is a day"),
        pytest.param("Rate limit reached", 300.0, "rate", id="five minutes are short"),
        pytest.param("Rate limit reached", 300.1, "quota", id="more are long"),
        pytest.param("insufficient_quota", 5.0, "quota", id="an empty account isn't filled by waiting"),
        pytest.param("increased too quickly", 600.0, "ramp-up", id="a ramp-up stays one"),
    ],
)
def test_a_429_is_told_apart_by_its_wait(message: str, wait_s: float, expected: str) -> None:
    assert classify_status(429, message=message, retry_after_s=wait_s) == expected


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        pytest.param(401, "", "auth-client", id="a refused login"),
        pytest.param(403, "", "auth-client", id="a forbidden one"),
        pytest.param(400, "API key not valid", "auth-client", id="a wrong key under another status"),
        pytest.param(403, "Input flagged by moderation", "content-filter", id="what isn't about the credential"),
        pytest.param(429, "", "rate", id="a limit"),
    ],
)
def test_a_clients_own_credential_is_its_own_affair(status: int, message: str, expected: str) -> None:
    assert classify_status(status, message=message, passed_through=True) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("type: overloaded_error\nmessage: Overloaded", "overloaded", id="Anthropic: busy"),
        pytest.param("type: rate_limit_error", "rate", id="a rate limit"),
        pytest.param("code: 429\nmessage: Provider returned error", "rate", id="OpenRouter: a status as a code"),
        pytest.param("code: insufficient_quota", "quota", id="an empty account"),
        pytest.param("code: context_length_exceeded", "context-length", id="too long"),
        pytest.param("code: content_filter", "content-filter", id="filtered"),
        pytest.param("code: tool_use_failed", "soft", id="the model's own failure"),
        pytest.param("code: server_is_overloaded", "overloaded", id="OpenAI: busy"),
        pytest.param("code: server_error\nmessage: The server had an error", "broken-start", id="nothing said"),
        pytest.param("type: authentication_error\nmessage: invalid x-api-key", "auth", id="Anthropic: a wrong key"),
        pytest.param("type: permission_error\nmessage: no", "auth", id="Anthropic: not for this key"),
        pytest.param("type: billing_error\nmessage: no", "quota", id="Anthropic: nothing to pay with"),
        pytest.param("type: not_found_error\nmessage: model: claude-x", "not-found", id="Anthropic: no such model"),
        pytest.param("type: timeout_error\nmessage: Request timed out", "timeout", id="Anthropic: took too long"),
        pytest.param("type: api_error\nmessage: Internal server error", "broken-start", id="Anthropic: broken"),
        pytest.param("type: request_too_large\nmessage: no", "bad-request", id="Anthropic: too large"),
        pytest.param(
            "type: invalid_request_error\nmessage: messages: at least one message is required",
            "bad-request",
            id="Anthropic: a wrong request",
        ),
        pytest.param(
            "type: invalid_request_error\nmessage: prompt is too long: 210000 tokens > 200000 maximum",
            "context-length",
            id="Anthropic: words before types",
        ),
        pytest.param("code: slow_down\nmessage: Please slow down", "overloaded", id="OpenAI: slow down"),
        pytest.param("code: invalid_prompt\nmessage: Invalid prompt", "bad-request", id="OpenAI: a wrong prompt"),
        pytest.param("code: cyber_policy\nmessage: no", "content-filter", id="OpenAI: filtered"),
        pytest.param("code: usage_not_included", "quota", id="ChatGPT: not in this plan"),
        pytest.param("message: User not found.\ncode: 401", "auth", id="OpenRouter: 401"),
        pytest.param("message: no\ncode: 402", "quota", id="OpenRouter: 402"),
        pytest.param("message: no\ncode: 408", "timeout", id="OpenRouter: 408"),
        pytest.param("message: no\ncode: 502", "broken-start", id="OpenRouter: 502"),
        pytest.param("message: no\ncode: 503", "overloaded", id="OpenRouter: 503"),
        pytest.param("message: no\ntype: BadRequestError\ncode: 400", "bad-request", id="vLLM: 400"),
        pytest.param("message: it took 404 s\ncode: 500", "broken-start", id="a number in a sentence"),
        pytest.param("code: 503\nmessage: high demand\nstatus: UNAVAILABLE", "overloaded", id="Google: busy"),
        pytest.param("code: 504\nmessage: no\nstatus: DEADLINE_EXCEEDED", "timeout", id="Google: took too long"),
        pytest.param("code: 403\nmessage: no\nstatus: PERMISSION_DENIED", "auth", id="Google: not for this key"),
        pytest.param("code: 400\nmessage: no\nstatus: INVALID_ARGUMENT", "bad-request", id="Google: a wrong request"),
        pytest.param("code: 500\nmessage: no\nstatus: INTERNAL", "broken-start", id="Google: broken"),
        pytest.param("", "broken-start", id="nothing at all"),
    ],
)
def test_an_error_inside_a_reply_is_told_by_its_words(message: str, expected: str) -> None:
    assert classify_inside(message, otherwise="broken-start") == expected


def test_an_error_inside_a_reply_may_be_about_the_clients_credential() -> None:
    assert classify_inside("invalid api key", otherwise="soft") == "auth"
    assert classify_inside("invalid api key", otherwise="soft", passed_through=True) == "auth-client"
    assert classify_inside("rate limit", otherwise="soft", retry_after_s=900.0) == "quota"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            b'{"error":{"message":"no","type":null,"code":""}}', "message: no", id="what is empty is left out"
        ),
        pytest.param(b'[{"error":{"code":429,"status":"X"}}]', "code: 429\nstatus: X", id="Google's list"),
        pytest.param(
            b'{"detail":[{"msg":"bad","input":"context window","loc":["a"]}]}',
            "msg: bad",
            id="what was sent isn't what is said",
        ),
        pytest.param(
            b'{"error":{"message":"m","failed_generation":"too long"}}', "message: m", id="nor what was answered"
        ),
        pytest.param(
            b'{"error":{"metadata":{"raw":"{\\"message\\": \\"busy\\"}"}}}',
            'raw: {"message": "busy"}',
            id="OpenRouter's cause",
        ),
        pytest.param(b'{"details":[{"@type":"RetryInfo","retryDelay":"34s"}]}', "retryDelay: 34s", id="Google's delay"),
        pytest.param(b"<html>bad</html>", "<html>bad</html>", id="no JSON"),
        pytest.param(b'{"error":', '{"error":', id="half of it"),
        pytest.param(b"", "", id="nothing"),
        pytest.param(b"caf\xe9", "caf�", id="no UTF-8"),
        pytest.param(b'{"a":' * 200_000, ('{"a":' * 200_000)[:4000], id="no bottom"),
    ],
)
def test_the_words_that_count_are_taken_from_a_body(body: bytes, expected: str) -> None:
    assert error_text(body) == expected


def test_a_deep_body_is_read_down_to_a_depth() -> None:
    assert error_text(b'{"a":' * 7 + b'{"message":"x"}' + b"}" * 7) == "message: x"
    assert error_text(b'{"a":' * 50 + b'{"message":"x"}' + b"}" * 50) == ""


@given(st.integers(100, 999), st.text(max_size=200), st.none() | st.floats(0, 1e6), st.booleans())
def test_whatever_is_said_has_a_known_class(status: int, message: str, wait_s: float | None, ours: bool) -> None:
    assert classify_status(status, message=message, retry_after_s=wait_s, passed_through=ours) in CLASSES


@pytest.mark.parametrize(
    "word", ["exceed", "model ", "account ", "request too large for ", "aPerDa", "credit ", "x", "violat"]
)
def test_a_hostile_text_costs_little(word: str) -> None:
    text = word * (100_000 // len(word))
    with within(0.25, clock=time.process_time):
        assert classify_status(400, message=text) == "bad-request"

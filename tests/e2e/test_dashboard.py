"""The pages in a real browser, over a real `rota up`."""

from collections.abc import Generator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import RunningRota, Visitor, running_chromium, running_rota
from tests.samples import sbom

MISSING = "01a1fbfb-68c3-7000-8002-0d4042d9f267"
SHOWN_MS = 10_000
TEXT_CONTRAST_MIN = 4.5

expect.set_options(timeout=SHOWN_MS)


@pytest.fixture(scope="module")
def rota() -> Generator[RunningRota]:
    with running_rota() as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Generator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def visitor(chromium: Browser, rota: RunningRota) -> Generator[Visitor]:
    """Every page of a test must keep its console clean, break nothing and ask nobody else."""
    visitor = Visitor(chromium, rota)
    yield visitor
    visitor.leave()
    assert visitor.wrongs == []


def mark(page: Page) -> None:
    """A mark that a reload would wipe out."""
    page.evaluate("window.rotaTestMark = true")


def was_not_reloaded(page: Page) -> bool:
    return page.evaluate("window.rotaTestMark === true")


def await_refreshes(page: Page) -> None:
    for _ in range(2):
        with page.expect_response(lambda answer: "fragment=true" in answer.url):
            pass


def row(run_id: str) -> str:
    return f"#runs tr[data-key='{run_id}']"


def test_the_link_signs_in_once_and_a_look_ahead_does_not_use_it_up(visitor: Visitor, rota: RunningRota) -> None:
    page = visitor.come()
    assert page.request.head(rota.sign_in_link).status == 200
    page.goto(rota.sign_in_link)
    assert page.url == rota.url + "/"
    expect(page.get_by_role("heading", name="Schedules")).to_be_visible()

    late = visitor.come()
    late.goto(rota.sign_in_link)
    expect(late.get_by_role("alert")).to_have_text("This link was used already or is too old.")


def test_the_form_takes_a_token_that_is_valid_and_the_button_ends_the_session(
    visitor: Visitor, rota: RunningRota
) -> None:
    page = visitor.come()
    page.goto(rota.url)
    assert page.url == rota.url + "/login"
    page.get_by_label("API token").fill("rota_" + "x" * 40)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This token is not valid.")
    page.get_by_label("API token").fill(f"  {rota.token} ")
    page.keyboard.press("Enter")
    page.wait_for_url(rota.url + "/")
    (cookie,) = page.context.cookies()
    assert (cookie.get("httpOnly"), cookie.get("sameSite"), cookie.get("secure")) == (True, "Lax", False)

    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(rota.url + "/login")
    assert page.context.cookies() == []
    page.goto(rota.url)
    assert page.url == rota.url + "/login"


def test_a_firing_schedule_appears_with_its_output_without_a_reload(visitor: Visitor, rota: RunningRota) -> None:
    page = visitor.come(rota.token)
    mark(page)

    trigger = {"kind": "interval", "every_seconds": 1, "fires_max": 2}
    rota.make_schedule("comes-alive", "echo alive and well", triggers=[trigger])

    expect(page.locator("#schedules tr", has_text="comes-alive").locator(".tick.succeeded").first).to_be_attached()
    run = page.locator("#runs tr", has_text="comes-alive").first
    expect(run.locator("summary")).to_have_text("alive and well")
    assert was_not_reloaded(page)


def test_output_of_a_run_arrives_as_it_is_written(visitor: Visitor, rota: RunningRota) -> None:
    go_on = rota.directory / "go-on"
    run_id = rota.make_run(f"echo first; until [ -e {go_on} ]; do sleep 0.05; done; echo second >&2")
    page = visitor.come(rota.token)
    page.goto(f"{rota.url}/runs/{run_id}")
    mark(page)
    log = page.get_by_role("region", name="Output").locator("span")
    expect(log).to_have_text(["first"])
    expect(page.locator("h1 .badge")).to_have_text("running")

    go_on.touch()

    expect(log).to_have_text(["first", "second"])
    expect(log.last).to_have_class("line from-stderr")
    expect(page.locator("h1 .badge")).to_have_text("succeeded")
    expect(page.locator("#live")).to_have_text("ended")
    assert was_not_reloaded(page)


def test_a_failure_says_why_in_its_row_and_on_its_page(visitor: Visitor, rota: RunningRota) -> None:
    schedule_id = rota.make_schedule("fails-loudly", "echo 'no route to <db01>'; exit 3")
    rota.wait_ended(rota.ask("POST", f"/api/v1/schedules/{schedule_id}/trigger", {})["id"])
    page = visitor.come(rota.token)
    failed = page.locator("#runs tr", has_text="fails-loudly").first

    expect(failed.locator("summary")).to_have_text("the command ended with exit code 3")
    failed.locator("summary").click()
    expect(failed.locator(".tail")).to_have_text("no route to <db01>")
    failed.get_by_role("link").click()
    expect(page.locator("p.problem")).to_contain_text("the command ended with exit code 3")
    expect(page.get_by_role("region", name="Output").locator("pre")).to_have_text("no route to <db01>")


def test_a_refresh_keeps_what_is_open_focused_and_scrolled(visitor: Visitor, rota: RunningRota) -> None:
    run_id = rota.make_run("seq 1 4")
    rota.wait_ended(run_id)
    page = visitor.come(rota.token, viewport={"width": 1000, "height": 400})
    details = page.locator(f"{row(run_id)} details")
    details.locator("summary").focus()
    page.keyboard.press("Enter")
    page.evaluate("scrollTo(0, 150)")
    seen_at = page.evaluate("scrollY")

    rota.wait_ended(rota.make_run("echo another"))
    expect(page.locator("#runs summary").first).to_have_text("another")

    expect(details).to_have_attribute("open", "")
    expect(details.locator("summary")).to_be_focused()
    # The browser itself holds the place when a row comes in above it.
    assert page.evaluate("scrollY") >= seen_at


def test_a_page_on_which_nothing_happens_does_not_move(visitor: Visitor, rota: RunningRota) -> None:
    schedule_id = rota.make_schedule("rests", "true", enabled=False)
    page = visitor.come(rota.token)
    page.goto(f"{rota.url}/schedules/{schedule_id}")
    page.evaluate(
        "window.moved = 0; new PerformanceObserver(list => { for (const e of list.getEntries()) moved += e.value })"
        ".observe({type: 'layout-shift', buffered: true})"
    )

    await_refreshes(page)

    assert page.evaluate("moved") == 0


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(visitor: Visitor, rota: RunningRota) -> None:
    rota.make_schedule("a-first-in-order", "true")
    page = visitor.come(rota.token)
    page.goto(rota.url)
    reached: list[str] = []
    menu = page.get_by_role("navigation", name="Main").get_by_role("link").all_inner_texts()
    assert set(menu) >= {"Schedules", "Recent runs", "Bindings", "Milestones", "Jobs", "Limits"}
    for _ in range(len(menu) + 4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", reached

    assert reached == ["Skip to the content", "Rota", *menu, "Sign out", "a-first-in-order"]
    page.keyboard.press("Enter")
    page.wait_for_url("**/schedules/*")
    expect(page.locator("h1")).to_contain_text("a-first-in-order")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_text_can_be_read_by_day_and_by_night(visitor: Visitor, rota: RunningRota) -> None:
    grounds: list[str] = []
    for scheme in ("light", "dark"):
        page = visitor.come(rota.token, color_scheme=scheme)
        colours = page.evaluate(
            "Object.fromEntries(['ground', 'sheet', 'ink', 'quiet', 'link', 'good', 'bad', 'busy', 'wait', 'off']"
            ".map(name => [name, getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()]))"
        )
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        backs = [colours.pop("ground"), colours.pop("sheet")]
        faint = {name for name, text in colours.items() for back in backs if contrast(text, back) < TEXT_CONTRAST_MIN}
        assert faint == set(), scheme

    assert grounds[0] != grounds[1]


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2 between two colours, `#rrggbb`."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("width", [400, 1280])
def test_no_page_is_wider_than_its_window(visitor: Visitor, rota: RunningRota, width: int) -> None:
    name = f"wide-{width}-" + "x" * 90
    schedule_id = rota.make_schedule(name, f"echo {'y' * 400}; exit 1")
    run_id = rota.ask("POST", f"/api/v1/schedules/{schedule_id}/trigger", {})["id"]
    rota.wait_ended(run_id)
    page = visitor.come(rota.token, viewport={"width": width, "height": 800})

    for path in ("/", f"/schedules/{schedule_id}", f"/runs/{run_id}", "/nowhere"):
        page.goto(rota.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_milestones_limits_jobs_check_ins_segments_and_other_runs_are_shown_and_reached_by_keyboard(
    visitor: Visitor, rota: RunningRota
) -> None:
    due = {"kind": "milestone", "name": "AUTO_12H", "evidence": "installation", "age_seconds": 43_200}
    rota.make_schedule("insights", "exit 3", triggers=[due])
    rota.ask("PUT", "/api/v1/evidence/installation/site-1", {"occurred_at": "2026-01-01T00:00:00Z"})
    rota.ask("PUT", "/api/v1/limits/queues/mail", {"concurrency_max": 5})
    rota.ask("POST", "/api/v1/check-ins", {"name": "dump", "cron": "0 2 * * *", "timezone": "Europe/Paris"})
    build = {"sbom": sbom(), "sbom_id": "shop"}
    rota.wait_ended(rota.ask("POST", "/api/v1/graphs/build", build)["run_id"])
    spread = {"selector": {"kind": "static", "items": list("abc")}, "segment_size": 2}
    target = {"kind": "task", "task": "rota.exec", "args": {"command": "true"}, "fan_out": spread}
    fans = rota.ask("POST", f"/api/v1/schedules/{rota.make_schedule('fans', 'true', target=target)}/trigger", {})["id"]
    first = rota.make_run("true")
    body = {"task": "rota.exec", "args": {"command": "true"}, "depends_on": [{"run_id": first}]}
    last = rota.ask("POST", "/api/v1/runs", body)["id"]
    for run_id in (last, fans):
        rota.wait_ended(run_id)

    for width in (400, 1280):
        page = visitor.come(rota.token, viewport={"width": width, "height": 800})
        for path, said in (
            ("/milestones", ("AUTO_12H", "backing off", "the command ended with exit code 3", "UTC")),
            ("/limits", ("mail", "0 of 5", "has room")),
            ("/check-ins", ("dump", "waiting", "0 2 * * * · Europe/Paris", "in ")),
            ("/jobs", ("build · shop", "7 components", "succeeded")),
            (f"/runs/{fans}", ("3 items in 2 segments", "segment 1", "segment 2")),
            (f"/runs/{last}", ("It runs once all of these have succeeded", "this run")),
        ):
            page.goto(rota.url + path)
            for text in said:
                expect(page.locator("main")).to_contain_text(text)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.get_by_role("list", name="It waits for").get_by_role("link").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{first}")
    expect(page.get_by_role("list", name="Wait for it").get_by_role("link")).to_have_attribute("href", f"/runs/{last}")


def test_an_inline_script_is_refused(chromium: Browser, rota: RunningRota) -> None:
    stranger = Visitor(chromium, rota)
    page = stranger.come(rota.token)
    page.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.broken = true'; document.body.append(s)"
    )

    assert page.evaluate("window.broken") is None
    assert any("Content Security Policy" in wrong for wrong in stranger.wrongs)
    stranger.leave()


def test_another_tenant_sees_nothing_and_learns_nothing(visitor: Visitor, rota: RunningRota) -> None:
    schedule_id = rota.make_schedule("of-default", "echo secret")
    run_id = rota.make_run("echo secret")
    rota.wait_ended(run_id)
    page = visitor.come(rota.make_tenant("globex"))

    expect(page.locator("main")).to_contain_text("No schedule yet.")
    expect(page.locator("main")).to_contain_text("No run yet.")
    for noun, foreign in (("schedules", schedule_id), ("runs", run_id)):
        told = {
            (answer.status, answer.text().replace(name, "ID"))
            for name in (foreign, MISSING, "no-uuid", "x" * 300)
            for answer in [page.request.get(f"{rota.url}/{noun}/{name}")]
        }
        ((status, text),) = told
        assert status == 404
        assert "Not found" in text


def test_the_pages_of_a_revoked_token_end_by_themselves(visitor: Visitor, rota: RunningRota) -> None:
    issued = rota.make_token("viewer")
    page = visitor.come(issued["secret"])

    rota.ask("POST", f"/api/v1/tokens/{issued['id']}/revoke", {})

    page.wait_for_url(rota.url + "/login", timeout=5_000)


def test_the_pages_work_without_a_script(visitor: Visitor, rota: RunningRota) -> None:
    run_id = rota.make_run("echo one; echo two")
    rota.wait_ended(run_id)
    page = visitor.come(rota.token, java_script_enabled=False)
    details = page.locator(f"{row(run_id)} details")

    expect(page.locator("#live")).to_be_hidden()
    details.locator("summary").click()
    expect(details.locator(".tail span")).to_have_text(["one", "two"])
    page.locator(row(run_id)).get_by_role("link").click()
    expect(page.get_by_role("region", name="Output").locator("pre span")).to_have_text(["one", "two"])


def test_of_long_output_the_end_is_shown(visitor: Visitor, rota: RunningRota) -> None:
    run_id = rota.make_run("seq 1 2500")
    rota.wait_ended(run_id)
    page = visitor.come(rota.token)
    page.goto(f"{rota.url}/runs/{run_id}")

    expect(page.locator("pre.log span").last).to_have_text("2500")
    expect(page.locator("main")).to_contain_text("The last 1000 lines")


def test_an_odd_address_is_answered_by_a_page(visitor: Visitor, rota: RunningRota) -> None:
    ask = visitor.come(rota.token).request

    for path in ("/nowhere", "/a/b", "/runs", "/schedules", "/runs/%00", "/runs/%ff", "/schedules/%00", "/?fragment=x"):
        answer = ask.get(rota.url + path)
        assert answer.status == (200 if "?" in path else 404), path
        assert answer.headers["content-type"] == "text/html; charset=utf-8", path
        assert "script-src 'self'" in answer.headers["content-security-policy"], path


def test_the_api_below_the_pages_still_answers_as_itself(visitor: Visitor, rota: RunningRota) -> None:
    ask = visitor.come().request
    headers = {"Authorization": f"Bearer {rota.token}"}

    for path in ("/api/v1/nowhere", "/api", "/api/v1/runs/x"):
        answer = ask.get(rota.url + path, headers=headers)
        assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json"), path


def test_head_is_answered_without_a_body(visitor: Visitor, rota: RunningRota) -> None:
    ask = visitor.come(rota.token).request

    for path in ("/", "/login", "/static/app.css"):
        answer = ask.head(rota.url + path)
        assert (answer.status, answer.body()) == (200, b""), path


def test_the_sign_in_refuses_other_sites_and_large_forms(visitor: Visitor, rota: RunningRota) -> None:
    ask = visitor.come().request
    form: dict[str, str | float | bool] = {"token": rota.token}

    for headers in ({"Origin": "https://elsewhere.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        for path in ("/login", "/logout"):
            answer = ask.post(rota.url + path, form=form, headers=headers, max_redirects=0)
            assert answer.status == 403, (path, headers)
            assert "set-cookie" not in answer.headers
    assert ask.post(rota.url + "/login", form={"token": "x" * 5_000}).status == 413
    assert ask.post(rota.url + "/login", form={}).status == 401


def test_a_cookie_set_over_https_is_secure_whatever_a_proxy_claims(visitor: Visitor, rota: RunningRota) -> None:
    ask = visitor.come().request
    host = rota.url.removeprefix("http://")

    for origin, claimed, secure in ((f"https://{host}", "http", True), (f"http://{host}", "https", False)):
        headers = {"Origin": origin, "X-Forwarded-Proto": claimed}
        answer = ask.post(rota.url + "/login", form={"token": rota.token}, headers=headers, max_redirects=0)
        assert ("Secure" in answer.headers["set-cookie"]) == secure

from efficientvision.report.markup import Markup, data_uri, join, tag


def test_text_is_escaped_and_elements_are_not():
    inner = tag("b", "a < b & c")
    assert inner == "<b>a &lt; b &amp; c</b>"
    assert tag("p", inner, " > ", None, 7) == "<p><b>a &lt; b &amp; c</b> &gt; 7</p>"
    assert join("<", Markup("<br>")) == "&lt;<br>"


def test_attributes():
    element = tag("img", src="x", alt='"quoted" & <more>', class_="a b", aria_label="l")
    assert element == (
        '<img src="x" alt="&quot;quoted&quot; &amp; &lt;more&gt;" class="a b" aria-label="l">'
    )
    assert tag("details", open=True, hidden=False, id=None) == "<details open></details>"


def test_an_element_may_have_the_attribute_name():
    assert tag("meta", name="viewport") == '<meta name="viewport">'


def test_data_uri():
    assert data_uri(b"\x00\xff", "image/png") == "data:image/png;base64,AP8="

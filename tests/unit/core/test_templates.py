"""Templates: what a page imports is made once and says the same as with Jinja's own template."""

import pytest
from jinja2 import DictLoader, Environment, Template

from idp.core import web

PAGES = {
    "macros": "{% macro hidden(token) %}<{{ token }} {{ service }}>{% endmacro %}",
    "page": "{% from 'macros' import hidden %}{{ hidden(token) }}{{ language }}",
}


@pytest.mark.parametrize("template_class", [Template, web._Template])
def test_an_imported_macro_is_made_once_and_reads_what_it_is_handed(template_class: type[Template]) -> None:
    environment = Environment(loader=DictLoader(PAGES), autoescape=True)
    environment.template_class = template_class
    environment.globals["service"] = "ours"
    page = environment.get_template("page")
    assert page.render(token="one", language="vi") == "<one ours>vi"
    made = environment.get_template("macros")._module
    assert made is not None
    assert page.render(token="<two>", language="en") == "<&lt;two&gt; ours>en"
    assert environment.get_template("macros")._module is made

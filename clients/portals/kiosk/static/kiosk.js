// Looks whether there is news for this screen, and loads the page anew only then: a page that reloads by the clock
// takes the place from whoever reads it with a screen reader (WCAG 2.2.1). Written for the oldest browser of a kiosk.
(function () {
  var shown = document.body.getAttribute("data-state");
  function look() {
    var request = new XMLHttpRequest();
    request.open("GET", "/state");
    request.onload = function () {
      if (request.status === 200 && request.responseText !== shown) {
        location.replace("/screen");
      } else {
        setTimeout(look, 2000);
      }
    };
    request.onerror = function () {
      setTimeout(look, 5000);
    };
    request.send();
  }
  setTimeout(look, 2000);
})();

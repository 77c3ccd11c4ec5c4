// Passkeys (WebAuthn Level 3, 5.1): asks the browser for one, and sends its answer with the form around the button.
// The form is hidden until here, because without a script nothing can come of it; the page says what to do instead.
const form = document.getElementById("passkey-form");
const keys = window.PublicKeyCredential;
const isNew = form.dataset.passkey === "create";
const read = isNew ? "parseCreationOptionsFromJSON" : "parseRequestOptionsFromJSON";
let waiting = null;

function say(id) {
  for (const note of form.querySelectorAll("[data-note]")) {
    note.hidden = note.id !== id;
  }
}

async function ask(more) {
  waiting?.abort();
  const mine = (waiting = new AbortController());
  const options = { publicKey: keys[read](JSON.parse(form.dataset.options)), signal: mine.signal, ...more };
  try {
    const answer = await (isNew ? navigator.credentials.create(options) : navigator.credentials.get(options));
    form.elements.passkey.value = JSON.stringify(answer);
    // One box on the page says that others use the device, whichever way somebody signs in.
    if (form.elements.shared) {
      form.elements.shared.value = document.getElementById("shared").checked ? "yes" : "";
    }
    form.submit();
  } catch (error) {
    if (waiting !== mine) {
      return;
    }
    waiting = null;
    if (!more) {
      say(error.name === "InvalidStateError" ? "passkey-known" : "passkey-cancelled");
    }
  }
}

let isAsking = false;
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!isAsking) {
    isAsking = true;
    say(null);
    await ask();
    isAsking = false;
  }
});

if (keys && keys[read]) {
  form.hidden = false;
  const instead = document.getElementById("passkey-instead");
  if (instead) {
    instead.hidden = true;
  }
  // Conditional mediation: the browser offers passkeys where the number is typed, without any button.
  if (form.hasAttribute("data-autofill")) {
    keys.isConditionalMediationAvailable?.().then((can) => {
      if (can && !waiting) {
        ask({ mediation: "conditional" });
      }
    });
  }
}

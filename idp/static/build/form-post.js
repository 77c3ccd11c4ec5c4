// Sends the form that carries a portal's answer (OAuth 2.0 Form Post Response Mode, 2); without scripts its button does.
document.getElementById("portal-answer").submit();

(function () {
  var box = document.getElementById("find");
  if (!box) return;
  box.parentElement.hidden = false;
  box.addEventListener("input", function () {
    var wanted = box.value.trim().toLowerCase();
    document.querySelectorAll("[data-find]").forEach(function (row) {
      row.hidden = wanted !== "" && row.textContent.toLowerCase().indexOf(wanted) < 0;
    });
    document.querySelectorAll("section.owner").forEach(function (part) {
      part.hidden = wanted !== "" && !part.querySelector("[data-find]:not([hidden])");
    });
  });
})();

(function () {
  var table = document.getElementById("accounts"), tools = document.getElementById("tools");
  if (!table || !tools) return;
  var body = table.tBodies[0], all = Array.prototype.slice.call(body.rows);
  var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
  var find = document.getElementById("find"), count = document.getElementById("count");
  var before = document.getElementById("before"), after = document.getElementById("after");
  var selects = Array.prototype.slice.call(tools.querySelectorAll("select"));
  var texts = all.map(function (row) { return row.textContent.toLowerCase(); });
  var order = all.map(function (_, place) { return place; });
  var size = 50, start = 0, seen = order;

  function value(row, column) {
    var cell = row.cells[column];
    if (cell.hasAttribute("data-v")) return cell.getAttribute("data-v");
    var below = cell.querySelector(".sub, .fell"), text = cell.textContent;
    return (below ? text.slice(0, text.length - below.textContent.length) : text).trim();
  }
  function has(row, name, wanted) {
    return (" " + (row.getAttribute("data-" + name) || "") + " ").indexOf(" " + wanted + " ") >= 0;
  }
  function draw() {
    var last = Math.min(start + size, seen.length);
    all.forEach(function (row) { row.hidden = true; });
    seen.slice(start, last).forEach(function (place) { all[place].hidden = false; });
    count.textContent = seen.length ? (start + 1) + "–" + last + " of " + seen.length + (seen.length === 1 ? " account" : " accounts") : "No account fits";
    before.disabled = start === 0;
    after.disabled = last >= seen.length;
  }
  function choose() {
    var words = find.value.trim().toLowerCase();
    seen = order.filter(function (place) {
      return (!words || texts[place].indexOf(words) >= 0) && selects.every(function (select) {
        return !select.value || has(all[place], select.getAttribute("data-filter"), select.value);
      });
    });
    start = 0;
    draw();
  }
  function sort(column, kind, down) {
    order.sort(function (one, two) {
      var a = value(all[one], column), b = value(all[two], column);
      if (a === "" || b === "") return a === b ? one - two : a === "" ? 1 : -1;
      var way = kind === "number" ? a - b : a.localeCompare(b);
      return (down ? -way : way) || one - two;
    });
    order.forEach(function (place) { body.appendChild(all[place]); });
    choose();
  }
  heads.forEach(function (head, column) {
    var kind = head.getAttribute("data-sort"), button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.appendChild(button);
    button.addEventListener("click", function () {
      var down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(function (each) { each.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort(column, kind, down);
    });
  });
  function cell(text, isNumber) {
    var safe = !isNumber && /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/.test(text) ? "'" + text : text;
    return isNumber && safe !== "" ? safe : '"' + safe.replace(/"/g, '""') + '"';
  }
  function csv() {
    var lines = [["account_id"].concat(heads.map(function (head) { return head.textContent; }))
      .map(function (text) { return cell(text, false); }).join(",")];
    seen.forEach(function (place) {
      var row = all[place];
      lines.push([cell(row.getAttribute("data-id"), false)].concat(heads.map(function (head, column) {
        return cell(value(row, column), head.getAttribute("data-sort") === "number");
      })).join(","));
    });
    return "\ufeff" + lines.join("\r\n") + "\r\n";
  }
  document.getElementById("csv").addEventListener("click", function () {
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = table.getAttribute("data-file");
    link.click();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
  });
  function fromAddress() {
    var parts = /^#(\w+?)(?:-([\w-]+))?$/.exec(location.hash);
    if (!parts) return;
    selects.forEach(function (select) {
      select.value = select.getAttribute("data-filter") === parts[1] ? parts[2] || "1" : "";
    });
    find.value = "";
    choose();
  }
  find.addEventListener("input", choose);
  selects.forEach(function (select) { select.addEventListener("change", choose); });
  tools.addEventListener("submit", function (event) { event.preventDefault(); });
  tools.addEventListener("reset", function () { setTimeout(choose, 0); });
  before.addEventListener("click", function () { start = Math.max(0, start - size); draw(); });
  after.addEventListener("click", function () { start += size; draw(); });
  window.addEventListener("hashchange", fromAddress);
  window.addEventListener("beforeprint", function () { all.forEach(function (row) { row.hidden = true; }); seen.forEach(function (place) { all[place].hidden = false; }); });
  window.addEventListener("afterprint", draw);
  tools.hidden = document.getElementById("pages").hidden = false;
  draw();
  fromAddress();
})();

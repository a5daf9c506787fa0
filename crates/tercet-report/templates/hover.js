// While a reader points at a chart, or walks it with the arrow keys, its legend shows the values there.
for (const chart of document.querySelectorAll("svg[data-places]")) {
  const places = chart.dataset.places.split(" ").map(Number);
  const texts = chart.dataset.texts.split("\n").map((text) => text.split("\t"));
  const cursor = chart.querySelector(".cursor");
  const cells = [...chart.closest("figure").querySelectorAll(".cell")];
  const resting = cells.map((cell) => cell.textContent);
  // Room for the longest text of each cell, so that the legend keeps its lines.
  cells.forEach((cell, at) => {
    const longest = Math.max(...texts.map((text) => (text[at] ?? "").length));
    cell.style.minWidth = `${longest * 0.92}ch`;
  });
  let stop = -1;
  const show = (index) => {
    stop = index;
    cursor.setAttribute("transform", `translate(${places[index]})`);
    cursor.classList.add("shown");
    cells.forEach((cell, at) => { cell.textContent = texts[index][at] ?? ""; });
  };
  const rest = () => {
    stop = -1;
    cursor.classList.remove("shown");
    cells.forEach((cell, at) => { cell.textContent = resting[at]; });
  };
  chart.addEventListener("pointermove", (event) => {
    const matrix = chart.getScreenCTM();
    if (!matrix) return;
    const x = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse()).x;
    let nearest = 0;
    places.forEach((place, at) => {
      if (Math.abs(place - x) < Math.abs(places[nearest] - x)) nearest = at;
    });
    show(nearest);
  });
  chart.addEventListener("pointerleave", rest);
  chart.addEventListener("blur", rest);
  chart.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move) return;
    event.preventDefault();
    const from = stop < 0 ? (move > 0 ? -1 : places.length) : stop;
    show(Math.min(Math.max(from + move, 0), places.length - 1));
  });
}
